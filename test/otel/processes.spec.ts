/** One event in two processes: the spans of the one that runs it and of the one that performs it, and what they tell of each other. */
import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { trace } from '@opentelemetry/api';
import type { EngineFactory } from 'nestjs-callbacks/engine';
import { Callback, inTransaction } from 'nestjs-callbacks';
import { EventsTelemetryModule } from 'nestjs-callbacks/otel';
import { postgres } from 'nestjs-callbacks/postgres';
import { redis } from 'nestjs-callbacks/redis';
import { Redis } from 'ioredis';
import pg from 'pg';
import { closeApps, startApp } from '../support/app.js';
import { Project } from '../support/child-process.js';
import { inPgTransaction } from '../support/pg-transaction.js';
import { describeWith, findPostgres, findRedis } from '../support/servers.js';
import { idOf, Sdk, traceOf } from './sdk.js';

const server = await findPostgres();
const redisServer = await findRedis();
const name = `otel_${randomUUID().slice(0, 8)}`;

let sdk: Sdk;
beforeEach(() => {
  sdk = new Sdk();
});
afterEach(async () => {
  await closeApps();
  await sdk.stop();
});

/** A span, as the other process prints it. */
interface PrintedSpan {
  readonly name: string;
  readonly trace: string;
  readonly links: readonly string[];
  readonly attempt: number;
  readonly error?: string;
}

/** The source of an application that performs, and prints the spans of its attempts, with an SDK of its own. */
const performing = (engine: string) => `import 'reflect-metadata';
  import { context, propagation, trace } from '@opentelemetry/api';
  import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
  import { W3CTraceContextPropagator } from '@opentelemetry/core';
  import { BasicTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
  import { Injectable, Module } from '@nestjs/common';
  import { NestFactory } from '@nestjs/core';
  import { Callback, currentEvent, EventsModule } from 'nestjs-callbacks';
  import { EventsTelemetryModule } from 'nestjs-callbacks/otel';
  import { ${engine.split('(')[0]} } from 'nestjs-callbacks/${engine.split('(')[0]}';

  const exporter = {
    export(spans, done) {
      for (const span of spans) {
        const { name, links, attributes } = span;
        console.log('SPAN ' + JSON.stringify({
          name,
          trace: span.spanContext().traceId,
          links: links.map(({ context }) => context.traceId + ' ' + context.spanId),
          attempt: attributes['nestjs_callbacks.attempt'],
          error: attributes['error.type'],
        }));
      }
      done({ code: 0 });
    },
    async shutdown() {},
  };
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));

  @Injectable()
  class Emails {
    @Callback('user_joined', { delivery: 'durable', retry: { attempts: 3, delayMs: 0 } }) async greet() {
      await null;
      trace.getTracer('test').startSpan('within ' + currentEvent().delivery.attempt).end();
      if (currentEvent().delivery.attempt < 3) throw new RangeError('not yet');
    }
  }
  @Module({ imports: [EventsModule.forRoot({ engine: ${engine} }), EventsTelemetryModule], providers: [Emails] })
  class AppModule {}
  await NestFactory.createApplicationContext(AppModule, { logger: false });
  console.log('works');`;

class Emails {
  @Callback('user_joined', { delivery: 'durable' }) greet() {}
}

/** Runs the event here, within a request, in some way, has another process perform it, and looks at the spans of both. */
async function runsHereAndPerformsThere(
  engine: EngineFactory,
  source: string,
  env: Record<string, string>,
  run: (work: () => Promise<void>) => Promise<void>,
): Promise<void> {
  const project = new Project();
  project.write('worker.ts', performing(source));
  const worker = project.start('worker.js', { env });
  try {
    await worker.printed('works');
    const modules = { providers: [Emails], imports: [EventsTelemetryModule] };
    const { events } = await startApp(modules, { engine, work: false });
    await trace.getTracer('test').startActiveSpan('POST /signup', async (request) => {
      await run(() => events.run('user_joined'));
      request.end();
    });
    // What the next attempt does may be told of before the store has said that the one before is settled.
    for (const attempt of [1, 2, 3]) await worker.printed(`"attempt":${attempt}`);

    const [send, ...more] = sdk.named('send user_joined');
    expect(more).toEqual([]);
    const [[request], [ran]] = [sdk.named('POST /signup'), sdk.named('run user_joined').slice(-1)];
    expect(ran.parentSpanContext?.spanId).toBe(idOf(request));
    expect(send.parentSpanContext?.spanId).toBe(idOf(ran));
    const spans = worker.output
      .split('\n')
      .flatMap((line) => (line.startsWith('SPAN ') ? [JSON.parse(line.slice(5)) as PrintedSpan] : []));
    const attempts = spans
      .filter((span) => span.name === 'process user_joined')
      .toSorted((one, other) => one.attempt! - other.attempt!);
    const link = `${traceOf(send)} ${idOf(send)}`;
    expect(attempts.map(({ attempt, links, error }) => ({ attempt, links, error }))).toEqual([
      { attempt: 1, links: [link], error: 'RangeError' },
      { attempt: 2, links: [link], error: 'RangeError' },
      { attempt: 3, links: [link], error: undefined },
    ]);
    // A trace of its own each, in which is what the callback does.
    expect(new Set([traceOf(send), ...attempts.map((one) => one.trace)]).size).toBe(4);
    for (const attempt of attempts) {
      expect(spans.find((span) => span.name === `within ${attempt.attempt}`)?.trace).toBe(attempt.trace);
    }
  } finally {
    worker.kill('SIGKILL');
    await worker.ended;
    project.remove();
  }
}

describeWith('An event of two processes on Postgres (DATABASE_URL, or the local one)', server, (connectionString) => {
  const engine = () => postgres({ connectionString, schema: name });
  const source = 'postgres({ connectionString: process.env.URL, schema: process.env.NAME })';
  const env = { URL: connectionString, NAME: name };

  it('has its attempts linked to what stored it, by a transaction that commits; one that is rolled back leaves nothing', async () => {
    const pool = new pg.Pool({ connectionString });
    try {
      const inSome = (work: () => Promise<void>) =>
        inTransaction((inside: (tx: pg.PoolClient) => Promise<void>) => inPgTransaction(pool, inside), work);
      await runsHereAndPerformsThere(engine(), source, env, async (work) => {
        await inSome(async () => {
          await work();
          throw new Error('no more room');
        }).catch(() => {});
        expect(sdk.named('send user_joined')).toEqual([]);
        await inSome(work);
      });
    } finally {
      await closeApps();
      await pool.query(`drop schema if exists ${name} cascade`);
      await pool.end();
    }
  });
});

describeWith('An event of two processes on Redis (REDIS_URL, or the local one)', redisServer, (url) => {
  it('has its attempts linked to what stored it', async () => {
    const source = 'redis({ url: process.env.URL, prefix: process.env.NAME })';
    try {
      await runsHereAndPerformsThere(redis({ url, prefix: name }), source, { URL: url, NAME: name }, (work) => work());
    } finally {
      await closeApps();
      const client = new Redis(url);
      const keys = await client.keys(`*${name}*`);
      if (keys.length > 0) await client.del(keys);
      await client.quit();
    }
  });
});
