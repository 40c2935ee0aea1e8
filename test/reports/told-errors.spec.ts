/** What is told of an error: all that says what happened, and nothing that was only kept with it, as a request's headers. */
import { EventEmitter } from 'node:events';
import { runInNewContext } from 'node:vm';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import diagnostics from 'node:diagnostics_channel';
import { Callback, type EventRunner } from 'nestjs-callbacks';
import { NOW, startDurable } from '../delivery/durable-app.js';
import { closeApps, startApp } from '../support/app.js';

afterEach(closeApps);

const SECRET = 'Bearer s3cret';

/** An error as HTTP clients throw it. */
class HttpError extends Error {
  override readonly name = 'HttpError';
  readonly code = 'ERR_BAD_REQUEST';
  readonly config = { headers: { Authorization: SECRET } };
  readonly response = { status: 401, data: SECRET };
}

const throwing = () => {
  throw new Error('do not look');
};

@Injectable()
class Emails {
  thrown: unknown;
  @Callback('x') greet() {
    throw this.thrown;
  }
}

/** Everything that the log has of a callback that throws this. */
async function logOf(thrown: unknown): Promise<string> {
  const { app, events, log } = await startApp([Emails]);
  app.get(Emails).thrown = thrown;
  await expect(events.run('x')).rejects.toBe(thrown);
  return log.of('error').join('\n');
}

describe('The log of a failure', () => {
  it('A8: has stack, code and causes of an error, and no other property of any of them', async () => {
    const cause = new HttpError('401', { cause: Object.assign(new HttpError('reset'), { code: 'ECONNRESET' }) });
    const thrown = Object.assign(new Error('not greeted', { cause }), { request: { headers: { cookie: SECRET } } });

    const told = await logOf(thrown);

    expect(told).not.toContain('s3cret');
    expect(told).toMatch(/^"x": Emails\.greet failed: not greeted\nError: not greeted\n +at /);
    expect(told).toMatch(/\ncaused by HttpError: 401\n +at .*\n(.*\n)* {4}code: ERR_BAD_REQUEST\n/);
    expect(told).toMatch(/\ncaused by HttpError: reset\n +at .*\n(.*\n)* {4}code: ECONNRESET$/);
  });

  it('A8: has the code of an error without a cause, too', async () => {
    const told = await logOf(new HttpError('401'));
    expect(told).toMatch(/\nHttpError: 401\n(.*\n)* {4}code: ERR_BAD_REQUEST$/);
    expect(told).not.toContain('s3cret');
  });

  it('A8: has the errors that an AggregateError holds', async () => {
    const told = await logOf(new AggregateError([new HttpError('first'), 'second'], 'both'));
    expect(told).toMatch(/\nAggregateError: both\n +at /);
    expect(told).toMatch(/\nholds HttpError: first\n +at /);
    expect(told).toContain(`\nholds 'second'`);
    expect(told).not.toContain('s3cret');
  });

  it('A8: has the errors of callbacks that ran in parallel, where they are the cause of another', async () => {
    @Injectable()
    class Outer {
      events!: EventRunner;
      @Callback('outer') go() {
        return this.events.runParallel('inner').catch((cause: unknown) => {
          throw new Error('neither', { cause });
        });
      }
      @Callback('inner') async one() {
        throw new HttpError('one');
      }
      @Callback('inner') async two() {
        throw new HttpError('two');
      }
    }
    const { app, events, log } = await startApp([Outer]);
    app.get(Outer).events = events;
    await expect(events.run('outer')).rejects.toThrow('neither');
    const told = log.of('error').find((line) => line.startsWith('"outer"'))!;
    expect(told).toMatch(/code: EVENTS_SEVERAL_FAILED\nholds HttpError: one\n(.*\n)*holds HttpError: two\n/);
    expect(log.lines.join('\n')).not.toContain('s3cret');
  });

  it('A8: ends, of errors in a circle, of very many, and of very long ones', async () => {
    const circle: Error & { cause?: unknown } = new Error('round');
    circle.cause = new Error('and', { cause: circle });
    expect((await logOf(circle)).length).toBeLessThan(20_000);

    const many = new AggregateError(Array.from({ length: 10_000 }, (_, index) => new Error(`${index}.`)));
    const told = await logOf(many);
    expect(told).toContain('holds Error: 0.');
    expect(told).toContain('and 9');
    expect(told.length).toBeLessThan(100_000);

    expect((await logOf(new Error('x'.repeat(5_000_000)))).length).toBeLessThan(100_000);
  });

  it('A8: has the stack of an error of another realm', async () => {
    expect(await logOf(runInNewContext(`new TypeError('foreign')`))).toMatch(
      /^"x": Emails\.greet failed: foreign\nTypeError: foreign\n +at /,
    );
  });

  it.each<[string, unknown, string]>([
    [
      'an object that looks like an error',
      { message: 'Request failed', code: 'E401', config: { headers: { Authorization: SECRET } }, token: SECRET },
      `{ message: 'Request failed', code: 'E401', config, token }`,
    ],
    ['an instance of a class', Object.assign(new EventEmitter(), { token: SECRET }), 'EventEmitter { '],
    ['an array', [SECRET, { token: SECRET }, 5], `[ '…', { token }, 5 ]`],
    ['a map', new Map([['token', SECRET]]), 'Map {}'],
    [
      'an object whose fields throw',
      Object.defineProperty({}, 'message', { enumerable: true, get: throwing }),
      '{ message }',
    ],
    ['an address with a password', 'postgres://ada:s3cret@db/x is away', `'postgres://…@db/x is away'`],
    ['nothing', undefined, 'undefined'],
  ])('A8: names the fields of what is no error (%s), and does not tell what is in them', async (_, thrown, shown) => {
    const told = await logOf(thrown);
    expect(told).toContain(`"x": Emails.greet failed: it threw ${shown}`);
    expect(told).not.toContain('s3cret');
  });
});

it('A8: what is stored with a dead delivery has no other property either', async () => {
  @Injectable()
  class Answers {
    @Callback('x', { delivery: 'durable', retry: { ...NOW, attempts: 1 } }) go() {
      throw new AggregateError([new HttpError('401'), { token: SECRET }], 'both', { cause: { token: SECRET } });
    }
  }
  const { events, deliveries, done } = await startDurable([Answers]);
  await events.run('x');
  await done();
  const [{ error }] = (await deliveries.list()).found;
  expect(error).toMatchObject({
    name: 'AggregateError',
    message: 'both',
    cause: { message: 'it threw { token }' },
    errors: [{ name: 'HttpError', message: '401', code: 'ERR_BAD_REQUEST' }, { message: 'it threw { token }' }],
  });
  expect(JSON.stringify(error)).not.toContain('s3cret');
});

describe('Our own messages', () => {
  it('A8: name the fields of an object that was passed by mistake, and not what is in them', async () => {
    const { events } = await startApp([Emails]);
    const wrong = events as unknown as { run(...args: unknown[]): Promise<void>; with(context: unknown): unknown };
    await expect(wrong.run({ email: 'ada@example.org', token: SECRET })).rejects.toThrow(
      'run() was given { email, token } as the event.',
    );
    expect(() => wrong.with({ request: Object.freeze({ authorization: SECRET }) })).toThrow(
      'request: { authorization }',
    );
  });

  it('A8: so does the line about a subscriber that throws', async () => {
    const { app, events, log } = await startApp([Emails]);
    app.get(Emails).thrown = new Error('x');
    const subscriber = () => {
      throw new HttpError('tracker down');
    };
    diagnostics.subscribe('tracing:nestjs-callbacks:callback:start', subscriber);
    try {
      await expect(events.run('x')).rejects.toThrow('x');
    } finally {
      diagnostics.unsubscribe('tracing:nestjs-callbacks:callback:start', subscriber);
    }
    const [told] = log.of('error');
    expect(told).toMatch(/^A subscriber of tracing:nestjs-callbacks:callback:start threw: tracker down\nHttpError: /);
    expect(log.lines.join('\n')).not.toContain('s3cret');
  });

  it('A8: so does the warning of a logger that throws', async () => {
    const { app, events, log } = await startApp([Emails]);
    app.get(Emails).thrown = new Error('x');
    const told: unknown[] = [];
    const warning = jest.spyOn(process, 'emitWarning').mockImplementation((message) => void told.push(message));
    log.error = () => {
      throw { token: SECRET };
    };
    try {
      await expect(events.run('x')).rejects.toThrow('x');
    } finally {
      warning.mockRestore();
    }
    expect(told).toEqual(['"x": Emails.greet failed: x (and the logger threw when told: { token })']);
  });
});
