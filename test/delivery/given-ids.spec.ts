/** Any text as the id of a run's deliveries: stored once, shown as it was given, and taken wherever an id is. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Callback, type CallbackFailure, currentEvent, type EventHeaders, EventRunner } from 'nestjs-callbacks';
import { closeApps, Log } from '../support/app.js';
import { engineWith, startDurable } from './durable-app.js';

const ID = 'welcome:ada@example.org';
/** Of version 5, by the namespace of this package: what is stored must be found again by every later version. */
const UUID_OF_IT = '5c843ef3-bb6d-5640-a286-cf55b58d330c';

let seen: (string | EventHeaders)[];
let fails: boolean;
beforeEach(() => {
  seen = [];
  fails = false;
});
afterEach(closeApps);

@Injectable()
class Emails {
  constructor(private readonly events: EventRunner) {}

  @Callback('x', { delivery: 'durable', retry: { attempts: 1 } }) async greet() {
    seen.push(currentEvent()!.delivery!.id);
    await this.events.with({}).run('y');
    if (fails) throw new Error('no');
  }

  @Callback('y') note() {
    seen.push(currentEvent()!.headers);
  }
}

describe('An id that is no UUID', () => {
  it('has a run stored once, and is what its callback, lists, failures and traces call it', async () => {
    fails = true;
    const failures: CallbackFailure[] = [];
    const onError = (failure: CallbackFailure) => void failures.push(failure);
    const { events, deliveries, done } = await startDurable([Emails], { onError }, new Log());
    await events.with({ id: ID }).run('x');
    await events.with({ id: ID }).run('x');
    await done();

    expect(seen.filter((one) => typeof one === 'string')).toEqual([ID]);
    expect(failures.map(({ attempt }) => attempt?.id)).toEqual([ID]);
    const [dead, ...others] = (await deliveries.list()).found;
    expect([dead.id, others]).toEqual([ID, []]);
    expect(dead).not.toHaveProperty('givenId');
  });

  it('is taken wherever an id is, as is the UUID that is made of it', async () => {
    fails = true;
    const { events, deliveries, done } = await startDurable([Emails], {}, new Log());
    await events.with({ id: ID }).run('x');
    await done();
    const callback = 'Emails.greet';
    const ids = [ID];

    expect((await deliveries.list({ callback, ids })).found).toHaveLength(1);
    expect(await deliveries.retry({ callback, ids: [`${ID}x`] })).toBe(0);
    expect(await deliveries.retry({ callback, ids })).toBe(1);
    await done();
    const uuid = (seen.at(-1) as EventHeaders)['causation-id'];
    expect(uuid).toMatch(/^[\da-f]{8}-[\da-f]{4}-5[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
    expect((await deliveries.list({ callback, ids: [uuid.toUpperCase()] })).found).toHaveLength(1);
    expect(await deliveries.discard({ callback, ids })).toBe(1);
    expect((await deliveries.list()).found).toEqual([]);
  });

  it('is the same delivery in every version: the UUID of a text never changes', async () => {
    const stored: { id: string; givenId?: string }[] = [];
    const engine = engineWith(() => ({ store: async (some) => void stored.push(...some) }));
    const { events } = await startDurable([Emails], { engine });
    await events.with({ id: ID }).run('x');
    await events.with({ id: '01920000-0000-7000-8000-00000000000A' }).run('x');
    expect(stored).toMatchObject([{ id: UUID_OF_IT, givenId: ID }, { id: '01920000-0000-7000-8000-00000000000a' }]);
    expect(stored[1]).not.toHaveProperty('givenId');
  });

  it('names neither chain nor cause: headers hold the UUID, as an id may be no text of HTTP', async () => {
    const { events, done } = await startDurable([Emails]);
    await events.with({ id: 'ä €' }).run('x');
    await done();
    const { 'correlation-id': correlation, 'causation-id': causation } = seen[1] as EventHeaders;
    expect(causation).toMatch(/^[\da-f-]{36}$/);
    expect(correlation).toBe(causation);
  });

  it('says what may be one', async () => {
    const { events } = await startDurable([Emails]);
    const wrong = ['', 'a\nb', 'x'.repeat(256), 12, null, undefined, 'a\0b', '\ud800'];
    for (const id of wrong) {
      expect(() => events.with({ id: id as string })).toThrow(
        "Pass a line of 1 to 255 characters, a UUID say, or a name: 'welcome:ada@example.org'.",
      );
    }
    events.with({ id: '€'.repeat(255) });
  });

  it('is what an error says that has stored nothing', async () => {
    const engine = engineWith(() => ({ store: () => Promise.reject(new Error('full')) }));
    const { events } = await startDurable([Emails], { engine });
    await expect(events.with({ id: ID }).run('x')).rejects.toMatchObject({ code: 'EVENTS_STORE_FAILED', id: ID });
  });
});
