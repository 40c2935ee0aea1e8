/** What comes of a durable callback that says when its delivery is to come back, as a server does by `Retry-After`. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Callback, type CallbackFailure, currentEvent, DeliveryPostponed, EventRunner } from 'nestjs-callbacks';
import { closeApps, firstLines, Log, until } from '../support/app.js';
import { engine, engineWith, startDurable } from './durable-app.js';

let attempts: number[];
let failures: CallbackFailure[];
let throws: (() => unknown)[];
beforeEach(() => {
  attempts = [];
  failures = [];
  throws = [];
});
afterEach(closeApps);

const onError = (failure: CallbackFailure) => void failures.push(failure);

@Injectable()
class Emails {
  constructor(private readonly events: EventRunner) {}

  @Callback('x', { delivery: 'durable', retry: { attempts: 2, delayMs: 0, maxPostponedMs: 400 } }) async greet() {
    attempts.push(currentEvent()!.delivery!.attempt);
    const next = throws.shift();
    if (next) throw next();
  }

  @Callback('y', { delivery: 'durable', retry: { attempts: 1 } }) async passOn() {
    attempts.push(currentEvent()!.delivery!.attempt);
    await this.events.run('z');
  }

  @Callback('z') inline() {
    const next = throws.shift();
    if (next) throw next();
  }
}

const postponed = (ms: number) => () => new DeliveryPostponed(ms);

describe('A delivery that is postponed', () => {
  it('comes back, is charged nothing, and is told of at debug level alone', async () => {
    const log = new Log();
    throws = [postponed(20), () => new DeliveryPostponed(250, 'the provider asks for a pause')];
    const { events, done, deliveries } = await startDurable([Emails], { onError }, log);
    await events.with({ id: 'welcome' }).run('x');
    await until(() => attempts.length === 3);
    await done();

    expect(attempts).toEqual([1, 1, 1]);
    expect(failures).toEqual([]);
    expect([log.of('warn'), log.of('error'), (await deliveries.list()).found]).toEqual([[], [], []]);
    const told = firstLines(log.of('debug').filter((line) => line.includes('postponed')));
    expect(told).toEqual([
      '"x": Emails.greet has postponed delivery welcome by 100 ms: not yet',
      '"x": Emails.greet has postponed delivery welcome by 250 ms: the provider asks for a pause',
    ]);
  });

  it('fails once it would be postponed for longer than maxPostponedMs in all, as often as it says so, and is dead at last', async () => {
    throws = [postponed(300), postponed(300), postponed(300)];
    const { events, done, deliveries } = await startDurable([Emails], { onError }, new Log());
    await events.run('x');
    await done();

    expect(attempts).toEqual([1, 1, 2]);
    expect(failures.map(({ attempt }) => attempt)).toMatchObject([
      { attempt: 1, isDead: false },
      { attempt: 2, isDead: true },
    ]);
    const [dead] = (await deliveries.list()).found;
    expect(dead.error).toMatchObject({ code: 'EVENTS_DELIVERY_POSTPONED', cause: { name: 'DeliveryPostponed' } });
    expect(dead.error!.message).toContain('for more than 400 ms in all, which retry.maxPostponedMs allows');
    // As new.
    throws = [postponed(60)];
    await deliveries.retry({});
    await until(() => attempts.length === 5);
    expect(attempts.slice(3)).toEqual([1, 1]);
  });

  it('may be postponed by what its callback runs', async () => {
    throws = [postponed(10)];
    const { events, done } = await startDurable([Emails], {}, new Log());
    await events.run('y');
    await until(() => attempts.length === 2);
    await done();
    expect(attempts).toEqual([1, 1]);
  });

  it.each([NaN, -1, Infinity, '30', undefined])('cannot be so by %p', (ms) => {
    expect(() => new DeliveryPostponed(ms as number)).toThrow(
      expect.objectContaining({
        code: 'EVENTS_OPTION_INVALID',
        message: expect.stringMatching(
          /^DeliveryPostponed was given .*\. Pass milliseconds, from 0 to \d+ \(ten years\)\. A Retry-After header holds seconds, or a date\.$/,
        ),
      }),
    );
  });

  it('fails where the engine cannot postpone, and says so', async () => {
    throws = [postponed(10)];
    const lacking = engineWith((sound) => ({
      work: (callback, perform) => sound.work(callback, (attempt) => perform({ ...attempt, postpone: undefined })),
    }));
    const { events, done } = await startDurable([Emails], { engine: lacking, onError }, new Log());
    await events.run('x');
    await done();
    expect(attempts).toEqual([1, 2]);
    expect(failures[0].error).toMatchObject({ code: 'EVENTS_ENGINE_UNSUITED' });
  });

  it('is none of an inline callback, whose caller gets the error', async () => {
    throws = [postponed(10)];
    const { events } = await startDurable([Emails], { engine });
    await expect(events.run('z')).rejects.toBeInstanceOf(DeliveryPostponed);
  });
});

it('onError is told whether a delivery is dead', async () => {
  throws = [() => new Error('one'), () => new Error('two')];
  const { events, done } = await startDurable([Emails], { onError }, new Log());
  await events.run('x');
  await done();
  expect(failures.map(({ attempt }) => attempt!.isDead)).toEqual([false, true]);
});
