/** The spans of what a transaction stores, on an engine that stores by it and on one that cannot. */
import type { PGlite, Transaction } from '@electric-sql/pglite';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Callback, type EventRunner, inTransaction } from 'nestjs-callbacks';
import { EventsTelemetryModule } from 'nestjs-callbacks/otel';
import { postgres } from 'nestjs-callbacks/postgres';
import { memoryEngine } from 'nestjs-callbacks/testing';
import { closeApps } from '../support/app.js';
import { openPGlite } from '../support/pglite-folder.js';
import { startDurable } from '../delivery/durable-app.js';
import { idOf, Sdk } from './sdk.js';

@Injectable()
class Emails {
  @Callback('user_joined', { delivery: 'durable' }) greet() {}
}

let sdk: Sdk;
let pglite: PGlite;
beforeAll(async () => {
  pglite = await openPGlite();
});
afterAll(() => pglite.close());
beforeEach(() => {
  sdk = new Sdk();
});
afterEach(async () => {
  await closeApps();
  await sdk.stop();
});

const inSome = (work: (tx: Transaction) => Promise<void>) =>
  inTransaction((inside: (tx: Transaction) => Promise<void>) => pglite.transaction(inside), work);
const start = (engine = postgres({ pglite })) =>
  startDurable({ providers: [Emails], imports: [EventsTelemetryModule] }, { engine });
const names = () => sdk.spans.map(({ name }) => name);

/** Runs the event in a transaction that is rolled back. */
const rollBack = (events: EventRunner) =>
  inSome(async () => {
    await events.run('user_joined');
    throw new Error('no more room');
  }).catch(() => {});

describe.each([
  ['Postgres, which stores by the transaction', () => postgres({ pglite })],
  ['an engine that stores when the transaction has committed', () => memoryEngine()],
])('What a transaction stores on %s,', (_, engine) => {
  it('has no span when it is rolled back, and one when it commits, to which attempts are linked', async () => {
    const { events, done } = await start(engine());
    await rollBack(events);
    expect(names()).toEqual(['run user_joined']);
    expect(await sdk.points('messaging.client.sent.messages')).toEqual([]);

    await inSome(async () => {
      await events.run('user_joined');
      expect(names()).not.toContain('send user_joined');
    });
    await done();
    const [send, ...others] = sdk.named('send user_joined');
    expect(others).toEqual([]);
    expect(send.parentSpanContext?.spanId).toBe(idOf(sdk.named('run user_joined')[1]));
    expect(sdk.named('process user_joined').map(({ links }) => links[0].context.spanId)).toEqual([idOf(send)]);
    expect((await sdk.points('messaging.client.sent.messages')).map(({ value }) => value)).toEqual([1]);
  });
});

describe('What a savepoint stores', () => {
  const inPart = (tx: Transaction, work: () => Promise<void>) =>
    inTransaction(async (inside: (tx: Transaction) => Promise<void>) => {
      await tx.query('savepoint part');
      try {
        await inside(tx);
        await tx.query('release savepoint part');
      } catch (error) {
        await tx.query('rollback to savepoint part');
        throw error;
      }
    }, work);

  it('has a span when the whole commits, and none when either is rolled back', async () => {
    const { events } = await start();
    await inSome(async (tx) => {
      await inPart(tx, async () => {
        await events.run('user_joined');
        throw new Error('not this part');
      }).catch(() => {});
      await inPart(tx, () => events.run('user_joined'));
      expect(names()).not.toContain('send user_joined');
    });
    expect(sdk.named('send user_joined')).toHaveLength(1);

    await inSome(async (tx) => {
      await inPart(tx, () => events.run('user_joined'));
      throw new Error('no more room');
    }).catch(() => {});
    expect(sdk.named('send user_joined')).toHaveLength(1);
  });
});

describe('What is stored by a bare handle', () => {
  it('has a span at once, as nobody sees the end', async () => {
    const { events } = await start();
    await pglite.transaction(async (tx) => {
      await events.with({ tx }).run('user_joined');
      expect(sdk.named('send user_joined')).toHaveLength(1);
    });
  });
});

describe('Telemetry', () => {
  it('asks nothing of a transaction that nobody else would ask', async () => {
    const asked = async (imports: object[]) => {
      const { events } = await startDurable(
        { providers: [Emails], imports: imports as never },
        { engine: postgres({ pglite }) },
      );
      const queries: string[] = [];
      const open = (inside: (tx: Transaction) => Promise<void>) =>
        pglite.transaction((tx) => {
          const { query } = tx;
          tx.query = (sql: string, ...rest: never[]) => {
            queries.push(sql);
            return query.call(tx, sql, ...rest) as never;
          };
          return inside(tx);
        });
      await inTransaction(open, () => events.run('user_joined'));
      await closeApps();
      return queries;
    };
    const without = await asked([]);
    expect(await asked([EventsTelemetryModule])).toEqual(without);
    expect(without.length).toBeGreaterThan(0);
  });
});
