/** With `keepsEngine` a test has the engine of the application, whatever that is. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, afterEach, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import type { EngineFactory } from 'nestjs-callbacks/engine';
import { Callback, currentEvent, EventsModule } from 'nestjs-callbacks';
import { postgres } from 'nestjs-callbacks/postgres';
import { memoryEngine, MemoryStore } from 'nestjs-callbacks/testing';
import pg from 'pg';
import { turn } from '../support/app.js';
import { makePGliteFolder } from '../support/pglite-folder.js';
import { describeWith, findPostgres } from '../support/servers.js';
import { closeAll, down, Emails, ran, start } from '../support/test-kit.js';

afterEach(closeAll);

describe('keepsEngine', () => {
  it('keeps the option work, too, and waits for what another application performs', async () => {
    const store = new MemoryStore();
    const application = (work: boolean) =>
      start(
        { imports: [EventsModule.forRoot({ engine: memoryEngine({ store }), work })], providers: [Emails] },
        { keepsEngine: true },
      );
    const web = await application(false);
    await web.run.run('user_joined', 'Ada');
    await expect(web.events.settled()).rejects.toThrow(
      'This application does not perform 1 delivery of "user_joined" to Emails.greet (waiting): it is closing, or its option work is false.',
    );
    const worker = await application(true);
    await worker.run.run('user_joined', 'Eve');
    await worker.events.settled();
    await web.events.settled();
    expect(ran.sort()).toEqual(['greet Ada', 'greet Eve']);
  });

  it('waits for the engine of the application, by the real time', async () => {
    @Injectable()
    class Retried {
      @Callback('x', { delivery: 'durable', retry: { attempts: 3, delayMs: 20, backoff: 'fixed' } }) async go() {
        await turn();
        ran.push(`attempt ${currentEvent()!.delivery!.attempt}`);
        if (ran.length < 3) throw down;
      }
    }
    const { events, run } = await start(
      { imports: [EventsModule.forRoot({ engine: memoryEngine() })], providers: [Retried] },
      { keepsEngine: true },
    );
    await run.with({ delayMs: 20 }).run('x');
    await events.settled();
    expect(ran).toEqual(['attempt 1', 'attempt 2', 'attempt 3']);
  });

  it('needs an engine for durable callbacks, as ever', async () => {
    await expect(start([Emails], { keepsEngine: true })).rejects.toMatchObject({ code: 'EVENTS_ENGINE_MISSING' });
  });
});

const folder = mkdtempSync(join(tmpdir(), 'testing-'));
afterAll(() => rmSync(folder, { recursive: true }));
beforeAll(() => makePGliteFolder(join(folder, 'data')));
keepsEngineOn('PGlite', () => postgres({ folder: join(folder, 'data') }));
describeWith('On Postgres (DATABASE_URL, or the local server)', await findPostgres(), (connectionString) => {
  const schema = `testing_${process.pid}`;
  afterAll(async () => {
    const client = new pg.Client({ connectionString });
    await client.connect();
    await client.query(`drop schema if exists ${schema} cascade`);
    await client.end();
  });
  keepsEngineOn('a server', () => postgres({ connectionString, schema }));
});

function keepsEngineOn(name: string, engineOf: () => EngineFactory): void {
  it(`settled() waits for ${name}: retries, orders behind a dead one, and what is dead`, async () => {
    @Injectable()
    class Works {
      @Callback('tried', { delivery: 'durable', retry: { attempts: 3, delayMs: 10, backoff: 'fixed' } }) async go() {
        await turn();
        ran.push(`attempt ${currentEvent()!.delivery!.attempt}`);
      }
      @Callback('booked', { delivery: 'durable', ordered: true, retry: { attempts: 1 } }) book(entry: string) {
        if (entry === 'bad') throw down;
        ran.push(entry);
      }
    }
    const { events, run, deliveries } = await start(
      { imports: [EventsModule.forRoot({ engine: engineOf() })], providers: [Works] },
      { keepsEngine: true, deliversTwice: true },
    );
    events.fail('Works.go', { attempt: [1, 2] });
    await run.run('tried');
    for (const entry of ['good', 'bad', 'behind']) await run.with({ key: 'a' }).run('booked', entry);
    await events.settled({ timeoutMs: 10_000 });

    // Each that succeeded twice.
    expect(ran.sort()).toEqual(['attempt 3', 'attempt 3', 'good', 'good']);
    expect(events.callsOf('Works.go')).toHaveLength(4);
    expect((await deliveries.list()).found).toMatchObject([{ arguments: ['bad'] }]);
    expect((await deliveries.list({ state: 'waiting' })).found).toMatchObject([{ arguments: ['behind'] }]);
  });
}
