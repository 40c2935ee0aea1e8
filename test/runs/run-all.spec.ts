/** What `runSettled()` and `runParallel()` promise: which callbacks run and when, and what is told of them. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Callback, EventsError } from 'nestjs-callbacks';
import { closeApps, deferred, startApp, turn } from '../support/app.js';

let ran: string[];

beforeEach(() => {
  ran = [];
});

afterEach(closeApps);

describe('runSettled()', () => {
  it('runs everything whatever fails, and tells of each callback in order', async () => {
    const boom = new Error('boom');
    @Injectable()
    class Steps {
      @Callback('x', { delivery: 'background' }) zero() {
        ran.push('zero');
      }
      @Callback('x') one() {
        throw boom;
      }
      @Callback('x') async two() {
        return 'two';
      }
      @Callback('x', { optional: true }) async three() {
        throw undefined;
      }
      @Callback('x') four() {}
    }
    const { events, log } = await startApp([Steps]);

    const outcomes = await events.runSettled('x');

    const durationMs = expect.any(Number);
    expect(outcomes).toEqual([
      { callback: 'Steps.one', status: 'rejected', reason: boom, durationMs },
      { callback: 'Steps.two', status: 'fulfilled', value: 'two', durationMs },
      { callback: 'Steps.three', status: 'rejected', reason: undefined, durationMs },
      { callback: 'Steps.four', status: 'fulfilled', value: undefined, durationMs },
      { callback: 'Steps.zero', status: 'started', durationMs },
    ]);
    expect(log.of('error')).toHaveLength(2);
    await turn();
    expect(ran).toEqual(['zero']);
  });

  it('calls one after another', async () => {
    @Injectable()
    class Steps {
      @Callback('x') async one() {
        await turn();
        ran.push('one');
      }
      @Callback('x') two() {
        ran.push('two');
      }
    }
    const { events } = await startApp([Steps]);
    await events.runSettled('x');
    expect(ran).toEqual(['one', 'two']);
  });

  it("resolves to no outcomes when nobody answers, and rejects for what is not a callback's doing", async () => {
    const { events } = await startApp([]);
    expect(await events.runSettled('x')).toEqual([]);
    await expect(events.runSettled(undefined as any)).rejects.toMatchObject({ code: 'EVENTS_EVENT_INVALID' });
  });
});

describe('runParallel()', () => {
  @Injectable()
  class Steps {
    readonly ends = [deferred(), deferred(), deferred()];
    @Callback('x') one() {
      ran.push('one');
      return this.ends[0].promise;
    }
    @Callback('x') two() {
      ran.push('two');
      return this.ends[1].promise;
    }
    @Callback('x') three() {
      ran.push('three');
      return this.ends[2].promise;
    }
    @Callback('x', { delivery: 'background' }) later() {
      ran.push('later');
    }
  }

  it('starts all inline callbacks at once and waits for all, then starts the background', async () => {
    const { app, events } = await startApp([Steps]);
    const { ends } = app.get(Steps);
    let isDone = false;

    const run = events.runParallel('x').then(() => (isDone = true));
    expect(ran).toEqual(['one', 'two', 'three']);
    ends[2].resolve();
    ends[0].resolve();
    await turn();
    expect(isDone).toBe(false);
    ends[1].resolve();
    await run;
    await turn();

    expect(ran).toEqual(['one', 'two', 'three', 'later']);
  });

  it('with one failure waits for the rest, and rejects with that error itself', async () => {
    const { app, events } = await startApp([Steps]);
    const { ends } = app.get(Steps);
    const boom = new Error('boom');
    let isDone = false;

    const run = events.runParallel('x').finally(() => (isDone = true));
    ends[1].reject(boom);
    await turn();
    expect(isDone).toBe(false);
    ends[0].resolve();
    ends[2].resolve();

    await expect(run).rejects.toBe(boom);
    await turn();
    expect(ran).not.toContain('later');
  });

  it('with several failures rejects with all of them, in callback order', async () => {
    const { app, events } = await startApp([Steps]);
    const { ends } = app.get(Steps);

    const run = events.runParallel('x');
    ends[2].reject('third');
    ends[1].resolve();
    ends[0].reject('first');

    const error = await run.catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(EventsError);
    expect(error).toMatchObject({
      code: 'EVENTS_SEVERAL_FAILED',
      errors: ['first', 'third'],
      message: '2 callbacks of "x" failed: Steps.one, Steps.three. Read `errors`, in that order, for what each threw.',
    });
  });
});
