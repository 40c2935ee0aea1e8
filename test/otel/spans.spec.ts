/** Which spans `nestjs-callbacks/otel` makes, by a real SDK: their names, kinds, attributes, parents and links. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ConflictException, Injectable, type Type } from '@nestjs/common';
import { context, propagation, trace } from '@opentelemetry/api';
import { Callback, currentEvent, type EventsOptions } from 'nestjs-callbacks';
import { EventsTelemetryModule } from 'nestjs-callbacks/otel';
import { Observable } from 'rxjs';
import { closeApps, deferred, until } from '../support/app.js';
import { engineWith, NOW, startDurable } from '../delivery/durable-app.js';
import { idOf, Sdk, shown, traceOf } from './sdk.js';

let sdk: Sdk;
let ran: unknown[];
beforeEach(() => {
  sdk = new Sdk();
  ran = [];
});
afterEach(async () => {
  await closeApps();
  await sdk.stop();
});

type Options = Parameters<typeof EventsTelemetryModule.forRoot>[0];

/** An application with telemetry. */
const start = (providers: Type[], options?: Options, events?: EventsOptions) =>
  startDurable(
    { providers, imports: [options ? EventsTelemetryModule.forRoot(options) : EventsTelemetryModule] },
    events,
  );

const activeSpan = () => trace.getActiveSpan()?.spanContext().spanId;

@Injectable()
class Emails {
  @Callback('user_joined', { delivery: 'durable', retry: NOW }) async greet() {
    await null;
    ran.push(activeSpan());
    const { attempt } = currentEvent()!.delivery!;
    if (attempt < 3) throw new TypeError('Ada has no address');
  }
}

@Injectable()
class Inline {
  @Callback('user_joined') async note() {
    await null;
    ran.push(activeSpan());
  }
}

describe('A run', () => {
  it('has a span, which its inline callbacks see as active', async () => {
    const { events } = await start([Inline]);
    await trace.getTracer('test').startActiveSpan('GET /', async (request) => {
      await events.run('user_joined', 'Ada');
      request.end();
    });
    const [run, request] = sdk.spans;
    expect(shown(run)).toEqual({
      name: 'run user_joined',
      kind: 'INTERNAL',
      attributes: { 'nestjs_callbacks.event': 'user_joined' },
      parent: idOf(request),
    });
    expect(ran).toEqual([idOf(run)]);
  });

  it('that fails has the error, by class and as an event, and rejects as ever', async () => {
    const taken = new ConflictException('Ada is taken');
    @Injectable()
    class Veto {
      @Callback('user_joined') note() {
        throw taken;
      }
    }
    const { events } = await start([Veto]);
    await expect(events.run('user_joined')).rejects.toBe(taken);
    const [run] = sdk.spans;
    expect(shown(run)).toMatchObject({ attributes: { 'error.type': 'ConflictException' }, failed: ['Ada is taken'] });
    expect(run.status.message).toBeUndefined();
  });

  it('that is refused has the code, also of runSettled() and runParallel()', async () => {
    const { app, events } = await start([Inline]);
    await events.runSettled('user_joined');
    await events.runParallel('user_joined');
    await app.close();
    await events.run('user_joined').catch(() => {});
    expect(sdk.spans.map(({ name, attributes }) => [name, attributes['error.type']])).toEqual([
      ['run user_joined', undefined],
      ['run user_joined', undefined],
      ['run user_joined', 'EVENTS_CLOSED'],
    ]);
  });

  it('has a span for each call, too, if asked for, other than of durable callbacks', async () => {
    @Injectable()
    class Others {
      @Callback('user_joined', { delivery: 'background' }) background() {
        ran.push(activeSpan());
      }
      @Callback('user_joined', { delivery: 'after-commit' }) held() {
        ran.push(activeSpan());
        throw new Error('no');
      }
    }
    const { events, done } = await start([Inline, Others, Emails], { callbacks: true });
    await events.run('user_joined');
    await done();
    await until(() => sdk.named('call Others.background').length === 1);
    const [run] = sdk.named('run user_joined');
    for (const name of ['Inline.note', 'Others.held', 'Others.background']) {
      const [call] = sdk.named(`call ${name}`);
      expect(call.parentSpanContext?.spanId).toBe(idOf(run));
      expect(ran).toContain(idOf(call));
    }
    expect(shown(sdk.named('call Others.held')[0])).toMatchObject({
      attributes: { 'nestjs_callbacks.callback': 'Others.held', 'nestjs_callbacks.delivery': 'after-commit' },
      failed: ['no'],
    });
    expect(sdk.named('call Emails.greet')).toEqual([]);
  });
});

describe('A callback with a span of its own', () => {
  it('is asked once for what it returns, also if that begins anew each time, and is in its span until it is done', async () => {
    let times = 0;
    const note = (of: string) => ran.push(of, activeSpan());
    @Injectable()
    class Lazy {
      @Callback('user_joined') query() {
        return {
          then(resolve: (value: unknown) => void) {
            times++;
            note('query');
            resolve('row');
          },
        };
      }
      @Callback('user_joined', { optional: true }) observable() {
        return new Observable((subscriber) => {
          note('observable');
          subscriber.error(new RangeError('no more'));
        });
      }
    }
    const { events } = await start([Lazy], { callbacks: true });
    const [first] = await events.runSettled('user_joined');
    expect(first).toMatchObject({ status: 'fulfilled', value: 'row' });
    expect(times).toBe(1);
    const [query] = sdk.named('call Lazy.query');
    const [observable] = sdk.named('call Lazy.observable');
    expect(ran).toEqual(['query', idOf(query), 'observable', idOf(observable)]);
    expect(shown(observable)).toMatchObject({ attributes: { 'error.type': 'RangeError' }, failed: ['no more'] });
  });
});

describe('A delivery', () => {
  it('has a span of its storing, and one of each attempt in a trace of its own, linked to that', async () => {
    const { events, done } = await start([Emails]);
    const id = '01920000-0000-7000-8000-000000000001';
    await events.with({ id }).run('user_joined');
    await done();

    const [run] = sdk.named('run user_joined');
    const [send] = sdk.named('send user_joined');
    expect(shown(send)).toEqual({
      name: 'send user_joined',
      kind: 'PRODUCER',
      attributes: {
        'messaging.system': 'nestjs_callbacks',
        'messaging.operation.name': 'send',
        'messaging.operation.type': 'send',
        'messaging.destination.name': 'user_joined',
        'messaging.message.id': id,
      },
      parent: idOf(run),
    });
    const attempts = sdk.named('process user_joined');
    const common = {
      'messaging.system': 'nestjs_callbacks',
      'messaging.operation.name': 'process',
      'messaging.operation.type': 'process',
      'messaging.destination.name': 'user_joined',
      'messaging.destination.subscription.name': 'Emails.greet',
      'messaging.message.id': id,
    };
    const failed = { 'nestjs_callbacks.outcome': 'failed', 'error.type': 'TypeError' };
    const expected = (attempt: number, more: object) => ({
      name: 'process user_joined',
      kind: 'CONSUMER',
      attributes: { ...common, 'nestjs_callbacks.attempt': attempt, ...more },
      links: [idOf(send)],
    });
    expect(attempts.map(shown)).toEqual([
      { ...expected(1, failed), failed: ['Ada has no address'] },
      { ...expected(2, failed), failed: ['Ada has no address'] },
      expected(3, { 'nestjs_callbacks.outcome': 'completed' }),
    ]);
    expect(new Set([send, ...attempts].map(traceOf)).size).toBe(4);
    expect(ran).toEqual(attempts.map(idOf));
  });

  it('has its attempts in the trace that has stored it, if asked for', async () => {
    const { events, done } = await start([Emails], { attempts: 'parent' });
    await events.run('user_joined');
    await done();
    const [send] = sdk.named('send user_joined');
    for (const attempt of sdk.named('process user_joined')) {
      expect(traceOf(attempt)).toBe(traceOf(send));
      expect(shown(attempt)).toMatchObject({ parent: idOf(send) });
      expect(attempt.links).toEqual([]);
    }
  });

  it('tells no argument and no header, but for headers that an option names', async () => {
    const secret = 'S3CR3T';
    const { events, done } = await start([Inline, Emails], { headers: ['Tenant', 'absent'], callbacks: true });
    await events.with({ headers: { tenant: 'acme', token: secret } }).run('user_joined', secret);
    await done();
    const told = JSON.stringify(sdk.spans.map(({ attributes, events: noted }) => [attributes, noted]));
    expect(told).not.toContain(secret);
    for (const name of ['send', 'process']) {
      const [span] = sdk.named(`${name} user_joined`);
      const headers = Object.keys(span.attributes).filter((key) => key.startsWith('nestjs_callbacks.header'));
      expect(headers).toEqual(['nestjs_callbacks.header.tenant']);
      expect(span.attributes['nestjs_callbacks.header.tenant']).toBe('acme');
    }
  });

  it('is stored with others by one span, and each has attempts of its own', async () => {
    @Injectable()
    class Bot {
      @Callback('user_joined', { delivery: 'durable' }) announce() {}
    }
    const { events, done } = await start([Emails, Bot]);
    await events.run('user_joined');
    await done();
    const [send, ...others] = sdk.named('send user_joined');
    expect(others).toEqual([]);
    expect(send.attributes['messaging.batch.message_count']).toBe(2);
    expect(sdk.named('process user_joined').map(({ links }) => links[0].context.spanId)).toEqual(
      Array(4).fill(idOf(send)),
    );
  });

  it('that nobody stores has a span which says why', async () => {
    const engine = engineWith(() => ({ store: () => Promise.reject(new Error('the disk is full')) }));
    const { events } = await start([Emails], undefined, { engine });
    await expect(events.run('user_joined')).rejects.toMatchObject({ code: 'EVENTS_STORE_FAILED' });
    expect(sdk.spans.map(({ name, attributes }) => [name, attributes['error.type']])).toEqual([
      ['send user_joined', 'EVENTS_STORE_FAILED'],
      ['run user_joined', 'EVENTS_STORE_FAILED'],
    ]);
  });

  it('has the span of a dead one, of one that ran out of time, and of one that closing gives back end as they are decided', async () => {
    const gate = deferred();
    @Injectable()
    class Slow {
      @Callback('late' as 'user_joined', { delivery: 'durable', timeoutMs: 20, retry: { attempts: 1 } }) late() {
        return gate.promise;
      }
      @Callback('endless' as 'user_joined', { delivery: 'durable' }) endless() {
        ran.push('begun');
        return gate.promise;
      }
    }
    const { app, events } = await start([Slow], undefined, { shutdownTimeout: 500 });
    await events.run('late' as 'user_joined');
    await until(() => sdk.named('process late').length === 1);
    expect(sdk.named('process late')[0].attributes).toMatchObject({
      'nestjs_callbacks.outcome': 'dead',
      'error.type': 'EVENTS_DELIVERY_TIMEOUT',
    });
    await events.run('endless' as 'user_joined');
    await until(() => ran.length === 1);
    const closing = app.close();
    await until(() => sdk.named('process endless').length === 1);
    gate.resolve();
    await closing;
    expect(sdk.named('process endless')[0].attributes['nestjs_callbacks.outcome']).toBe('released');
  });

  it('says of an attempt whose claim had run out that it is lost', async () => {
    const engine = engineWith((sound) => ({
      work: (callback, perform) =>
        sound.work(callback, (attempt) =>
          perform({ ...attempt, complete: async () => (await attempt.complete(), false) }),
        ),
    }));
    @Injectable()
    class Quick {
      @Callback('user_joined', { delivery: 'durable' }) go() {}
    }
    const { events } = await start([Quick], undefined, { engine });
    await events.run('user_joined');
    await until(() => sdk.named('process user_joined').length === 1);
    expect(sdk.named('process user_joined')[0].attributes).toMatchObject({
      'nestjs_callbacks.outcome': 'lost',
      'error.type': 'EVENTS_DELIVERY_LOST',
    });
  });

  it('brings baggage along only if asked for, as far as it fits', async () => {
    const run = async (options: Options, value: string) => {
      const seen: (string | undefined)[] = [];
      @Injectable()
      class Noting {
        @Callback('user_joined', { delivery: 'durable' }) note() {
          seen.push(propagation.getActiveBaggage()?.getEntry('tenant')?.value);
        }
      }
      const { events, done } = await start([Noting], options);
      const baggage = propagation.createBaggage({ tenant: { value } });
      await context.with(propagation.setBaggage(context.active(), baggage), () => events.run('user_joined'));
      await done();
      return seen;
    };
    expect(await run({}, 'acme')).toEqual([undefined]);
    expect(await run({ baggage: true }, 'acme')).toEqual(['acme']);
    expect(await run({ baggage: true }, 'a'.repeat(8_000))).toEqual([undefined]);
  });
});

describe('EventsTelemetryModule', () => {
  it('refuses options that it does not know, and to be imported twice', async () => {
    await expect(start([Emails], { attempts: 'links' as never })).rejects.toMatchObject({
      code: 'EVENTS_OPTION_INVALID',
      message: "EventsTelemetryModule.forRoot() was given attempts: 'links'. Pass 'link' or 'parent'.",
    });
    await expect(start([Emails], { arguments: true } as never)).rejects.toThrow(
      'EventsTelemetryModule.forRoot() was given arguments: true, which is not an option of it.',
    );
    const imports = [EventsTelemetryModule, EventsTelemetryModule.forRoot({ callbacks: true })];
    await expect(startDurable({ imports })).rejects.toMatchObject({ code: 'EVENTS_CONFIGURED_TWICE' });
  });

  it('warns of an SDK that another copy of the API has started, to which ours does not listen', async () => {
    await sdk.stop();
    const registered = globalThis as { [key: symbol]: object | undefined };
    const key = Symbol.for('opentelemetry.js.api.1');
    const before = registered[key];
    registered[key] = { version: '1.0.0', trace: {} };
    try {
      const { log } = await start([Inline]);
      expect(log.of('warn')).toEqual([expect.stringContaining('another copy of @opentelemetry/api, of version 1.0.0')]);
    } finally {
      registered[key] = before;
      sdk = new Sdk();
    }
  });

  it('does nothing where there is no SDK, and nothing travels but the chain', async () => {
    await sdk.stop();
    @Injectable()
    class Noting {
      @Callback('user_joined', { delivery: 'durable' }) note() {
        ran.push(Object.keys(currentEvent()!.headers));
      }
    }
    const { events, done } = await start([Noting, Inline], { callbacks: true });
    await events.run('user_joined');
    await done();
    expect(ran).toEqual([undefined, ['correlation-id']]);
    sdk = new Sdk();
  });
});
