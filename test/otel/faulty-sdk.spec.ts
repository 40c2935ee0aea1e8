/** What is watched does not fail with who watches: an SDK whose parts throw, and errors that nobody can read. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { context, diag, propagation, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { BasicTracerProvider } from '@opentelemetry/sdk-trace-base';
import { Callback, currentEvent, inTransaction } from 'nestjs-callbacks';
import { EventsTelemetryModule } from 'nestjs-callbacks/otel';
import { closeApps } from '../support/app.js';
import { NOW, startDurable } from '../delivery/durable-app.js';

const refuse = (): never => {
  throw new Error('the SDK is broken');
};

let ran: string[];
let told: unknown[];
beforeEach(() => {
  ran = [];
  told = [];
  const ignore = () => {};
  diag.setLogger({ error: (...all) => told.push(all), warn: ignore, info: ignore, debug: ignore, verbose: ignore });
});
afterEach(async () => {
  await closeApps();
  for (const api of [trace, context, propagation, diag]) api.disable();
});

@Injectable()
class All {
  @Callback('x') inline() {
    ran.push('inline');
  }
  @Callback('x', { delivery: 'durable', retry: NOW }) durable() {
    ran.push(`durable ${currentEvent()!.delivery!.attempt}`);
    if (currentEvent()!.delivery!.attempt < 2) throw new Error('again');
  }
  @Callback('x', { delivery: 'after-commit' }) held() {
    ran.push('held');
  }
}

const start = (type = All) =>
  startDurable({ providers: [type], imports: [EventsTelemetryModule.forRoot({ callbacks: true, baggage: true })] });

describe.each([
  ['begins spans', () => provide({ onStart: refuse })],
  ['ends spans', () => provide({ onEnd: refuse })],
  [
    'writes a context',
    () => {
      provide({});
      propagation.setGlobalPropagator({ inject: refuse, extract: (of) => of, fields: () => [] });
    },
  ],
  [
    'reads a context',
    () => {
      provide({});
      propagation.setGlobalPropagator({ inject() {}, extract: refuse, fields: () => [] });
    },
  ],
])('An SDK that throws when it %s', (_, begin) => {
  it('changes nothing of what is run, stored, performed and committed, and is told of', async () => {
    begin();
    const { events, done, deliveries, log } = await start();
    await events.run('x');
    await done();
    await inTransaction(
      (inside) => inside({ query: async () => ({ rows: [] }) }),
      () => events.run('x'),
    );
    await done();
    expect(ran.toSorted()).toEqual(
      ['inline', 'held', 'durable 1', 'durable 2'].flatMap((one) => [one, one]).toSorted(),
    );
    expect((await deliveries.list()).found).toEqual([]);
    expect(log.of('error')).toEqual([]);
    expect(told.length).toBeGreaterThan(0);
  });
});

describe('An error that nobody can read', () => {
  it('is one like any other: the delivery is dead with it, and an inline callback rejects with it', async () => {
    provide({});
    const hostile = Object.assign(new Error('down'), { code: Object.create(null) as unknown });
    Object.defineProperty(hostile, 'constructor', { get: refuse });
    class Hostile extends All {
      override inline() {
        if (ran.push('inline') === 1) throw hostile;
      }
      override durable() {
        throw hostile;
      }
    }
    const { events, deliveries, done } = await start(Hostile);
    await expect(events.run('x')).rejects.toBe(hostile);
    await events.run('x');
    await done();
    expect((await deliveries.list()).found).toMatchObject([{ attempts: 3, error: { message: 'down' } }]);
  });
});

/** Sets up tracing by the real SDK, with a processor of spans that does so. */
function provide(processor: { onStart?: () => void; onEnd?: () => void }): void {
  const flush = async () => {};
  const whole = { onStart() {}, onEnd() {}, forceFlush: flush, shutdown: flush, ...processor };
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [whole] }));
}
