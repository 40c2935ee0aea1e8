/** What a codec does to what is stored of deliveries, and what happens when it fails. */
import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Callback, DeliveryPostponed, type DeliveryCodec } from 'nestjs-callbacks';
import { memoryEngine, MemoryStore } from 'nestjs-callbacks/testing';
import { closeApps, Log, until } from '../support/app.js';
import { aesCodec } from '../support/sealed.js';
import { startDurable } from './durable-app.js';

class Paid {
  constructor(
    readonly card: string,
    readonly at: Date,
  ) {}
}

let ran: unknown[];
let throws: (() => unknown)[];
beforeEach(() => {
  ran = [];
  throws = [];
});
afterEach(closeApps);

@Injectable()
class Payments {
  @Callback('paid', { delivery: 'durable', retry: { attempts: 3, delayMs: 0 } }) async charge(...args: unknown[]) {
    ran.push(args);
    const next = throws.shift();
    if (next) throw next();
  }

  @Callback(Paid, { delivery: 'durable' }) async book(paid: Paid) {
    ran.push(paid);
  }
}

const reversing: DeliveryCodec = {
  encode: (json) => Buffer.from(json).reverse().toString('base64'),
  decode: (text) => Buffer.from(text, 'base64').reverse().toString(),
};

describe('A codec', () => {
  it('is passed by whatever is stored, and brings equal arguments', async () => {
    const { events, done } = await startDurable([Payments], { codec: reversing });
    const args = [new Map([['Ä', new Date(0)]]), undefined, { $type: 'Encoded', value: 'mine' }, 12n];
    await events.run('paid', ...args);
    await events.run('paid', { $type: 'Encoded', value: 'mine' });
    await events.run('paid');
    await events.run(new Paid('4111', new Date(1)));
    await done();
    expect(ran).toEqual([args, [{ $type: 'Encoded', value: 'mine' }], [], new Paid('4111', new Date(1))]);
    expect(ran[3]).toBeInstanceOf(Paid);
  });

  it('leaves what was stored before there was one as it was', async () => {
    const store = new MemoryStore();
    const engine = memoryEngine({ store });
    const before = await startDurable([Payments], { engine, work: false });
    await before.events.run('paid', 'Ada');
    await before.app.close();
    const { done } = await startDurable([Payments], { engine, codec: reversing });
    await done();
    expect(ran).toEqual([['Ada']]);
  });

  it('that is missing, or lacks a key, fails an attempt, which is made again: another instance may have it', async () => {
    const engine = memoryEngine({ store: new MemoryStore() });
    const keys = { old: randomBytes(32), fresh: randomBytes(32) };
    const storing = await startDurable([Payments], { engine, codec: aesCodec(keys), work: false });
    await storing.events.run('paid', 'Ada');
    const log = new Log();
    const without = await startDurable([Payments], { engine }, log);
    await until(async () => (await storing.deliveries.list()).found.length === 1);
    expect(log.of('warn')[0]).toMatch(
      /"paid": Payments\.charge failed at attempt 1 of 3, .*: The codec of EventsModule is missing here, and the arguments of "paid" went through one\. Pass the codec of who has stored them\./,
    );
    await without.app.close();
    const [dead] = (await storing.deliveries.list()).found;
    expect(dead).toMatchObject({ attempts: 3, arguments: ['Ada'], error: { code: 'EVENTS_CODEC_FAILED' } });

    const { old } = keys;
    const other = await startDurable(
      [Payments],
      { engine, codec: aesCodec({ fresh: randomBytes(32), was: old }) },
      new Log(),
    );
    await other.deliveries.retry({});
    await until(async () => (await storing.deliveries.list()).found.length === 1);
    expect((await other.deliveries.list()).found[0].error).toMatchObject({ code: 'EVENTS_CODEC_FAILED' });
    await other.app.close();
    // With all keys, whichever encrypts.
    const rotated = await startDurable([Payments], { engine, codec: aesCodec({ fresh: keys.fresh, old: keys.old }) });
    await rotated.deliveries.retry({});
    await rotated.done();
    expect(ran).toEqual([['Ada']]);
  });

  it.each<[string, DeliveryCodec['encode'], RegExp]>([
    [
      'throws',
      () => {
        throw new Error('no key yet');
      },
      /^The codec of EventsModule could not encode the arguments of "paid": no key yet\. Nothing is stored\.$/,
    ],
    [
      'answers later',
      (() => Promise.reject(new Error('later'))) as never,
      /^The codec of EventsModule answered with a promise for the arguments of "paid"\. Answer with a string, at once/,
    ],
    [
      'answers with what no store takes',
      () => 'a\0b',
      /answered with text that holds a NUL character, or half of a character, for/,
    ],
  ])('that %s has the run rejected, before any callback', async (_, encode, message) => {
    @Injectable()
    class Inline {
      @Callback('paid') first() {
        ran.push('inline');
      }
    }
    const { events } = await startDurable([Inline, Payments], { codec: { encode, decode: reversing.decode } });
    await expect(events.run('paid', 'Ada')).rejects.toMatchObject({
      code: 'EVENTS_CODEC_FAILED',
      message: expect.stringMatching(message),
    });
    expect(ran).toEqual([]);
  });

  it('keeps the texts of errors out of the log, and says what this package itself has to say', async () => {
    const log = new Log();
    throws = [
      () => new DeliveryPostponed(0, 'secret'),
      () => Object.assign(new RangeError('secret'), { code: 7 }),
      () => 'secret',
      () => new Error('secret'),
    ];
    const { events, deliveries, done } = await startDurable([Payments], { codec: reversing }, log);
    await events.run('paid', 'secret');
    await done();
    expect(log.lines.filter((line) => line.includes('secret'))).toEqual([]);
    const told = [
      ...log.of('debug').filter((line) => line.includes('postponed')),
      ...log.of('warn'),
      ...log.of('error'),
    ];
    expect(told.map((line) => line.split('\n')[0].replace(/ [\da-f-]{36}/, ''))).toEqual([
      '"paid": Payments.charge has postponed delivery by 100 ms',
      '"paid": Payments.charge failed at attempt 1 of 3, with the next in 0.0 s: RangeError 7, whose text is kept from the log, as there is a codec',
      '"paid": Payments.charge failed at attempt 2 of 3, with the next in 0.0 s: Error, whose text is kept from the log, as there is a codec',
      '"paid": Payments.charge failed for good, at attempt 3 of 3, so that delivery is dead: Error, whose text is kept from the log, as there is a codec',
    ]);
    expect((await deliveries.list()).found[0].error).toMatchObject({ message: 'secret' });
    throws = [() => 'secret', () => 'secret', () => 'secret'];
    await deliveries.retry({});
    await done();
    expect((await deliveries.list()).found[0].error).toEqual({ name: 'Error', message: "it threw 'secret'" });
  });

  it('has the boot fail that is none', async () => {
    await expect(startDurable([Payments], { codec: { encode: () => '' } as never })).rejects.toMatchObject({
      code: 'EVENTS_OPTION_INVALID',
      message: expect.stringContaining('Pass { encode(json), decode(text) }.'),
    });
  });
});
