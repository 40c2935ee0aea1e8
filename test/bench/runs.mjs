// What a run costs, against its peers and in other surroundings. Each section answers with rows: times by candidate.
import { AsyncLocalStorage } from 'node:async_hooks';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { Injectable, Scope, UseGuards, UseInterceptors } from '@nestjs/common';
import { CqrsModule, EventBus, EventsHandler } from '@nestjs/cqrs';
import { Callback } from '../../dist/index.js';
import { EventsTelemetryModule } from '../../dist/otel/index.js';
import { application, bodies, decorate, EMAIL, KINDS, NAME, providers, runner } from './applications.mjs';
import { CQRS, EMITTER, HELPER, helper, nestEmitter, PEERS, RUN } from './peers.mjs';
import { median, ratio, sample } from './sampler.mjs';

const RESOLVED = 'resolved at once';
const three = () => bodies(RESOLVED, 3);
const runOf = async (...args) => {
  const events = await runner(...args);
  return () => events.run('x', NAME, EMAIL);
};

/** One cell of a table: each candidate's time against the base's. */
function rowsOf(times, base, about) {
  return Object.entries(times).map(([name, values]) => ({
    ...about,
    name,
    base,
    ns: Math.round(median(values)),
    ...ratio(values, times[base]),
  }));
}

/** Some of the peers with three callbacks of each kind, by turns through all of them. */
async function ofAllKinds(names, options) {
  const key = (kind, name) => JSON.stringify([kind, name]);
  const candidates = {};
  for (const kind of Object.keys(KINDS)) {
    for (const name of names) {
      candidates[key(kind, name)] = await PEERS.find((peer) => peer.name === name).make(bodies(kind, 3));
    }
  }
  const times = await sample(candidates, options);
  return Object.keys(KINDS).flatMap((kind) => {
    const ofKind = Object.fromEntries(names.map((name) => [name, times[key(kind, name)]]));
    return rowsOf(ofKind, HELPER, { kind, count: 3 });
  });
}

/** So many callbacks of a kind, against all peers. */
export async function dispatch(isQuick, kind, count) {
  const candidates = {};
  for (const { name, make } of PEERS) candidates[name] = await make(bodies(kind, Number(count)));
  const times = await sample(candidates, { rounds: isQuick ? 20 : 200, warmUp: 20 });
  return rowsOf(times, HELPER, { kind, count: Number(count) });
}

/** What is offered and not used here, or used by others: none of it may cost a run anything. */
export async function additions(isQuick) {
  const many = Array.from({ length: 1_000 }, (_, provider) => {
    class Other {}
    for (let method = 0; method < 10; method++) {
      Object.defineProperty(Other.prototype, `m${method}`, { value() {}, writable: true, configurable: true });
      decorate(Other, `m${method}`, Callback(`other${provider}-${method}`));
    }
    Injectable()(Other);
    return Other;
  });
  const [guarded] = providers([() => {}], Callback('other'));
  class Guard {
    canActivate = () => true;
  }
  Injectable()(Guard);
  UseGuards(Guard)(guarded);

  const alone = 'alone in its application';
  const times = await sample(
    {
      'another one, which shows the noise': await runOf(three()),
      'beside 10,000 other events': await runOf(three(), { others: many }),
      'with onError': await runOf(three(), { options: { onError() {} } }),
      'beside a callback with a guard': await runOf(three(), { others: [guarded, Guard] }),
      [alone]: await runOf(three()),
    },
    { rounds: isQuick ? 60 : 200 },
  );
  return rowsOf(times, alone, { kind: RESOLVED, count: 3 });
}

/**
 * As in a long-lived application: our code has met events with none to four arguments and callbacks of many classes
 * before, so that V8 must look each method up.
 */
export async function longLived(isQuick) {
  for (const kind of Object.keys(KINDS)) {
    const events = await runner(bodies(kind, 5));
    for (let run = 0; run < 2_000; run++) {
      for (const args of [[], [1], [1, 2], [1, 2, 3], [1, 2, 3, 4]]) await events.run('x', ...args);
    }
  }
  return ofAllKinds([HELPER, RUN], { rounds: isQuick ? 30 : 200 });
}

/** The three ways to run an event. */
export async function ways(isQuick) {
  const events = await runner(three());
  const times = await sample(
    {
      [HELPER]: helper(three()),
      [RUN]: () => events.run('x', NAME, EMAIL),
      'events.runParallel()': () => events.runParallel('x', NAME, EMAIL),
      'events.runSettled()': () => events.runSettled('x', NAME, EMAIL),
    },
    { rounds: isQuick ? 30 : 100 },
  );
  return rowsOf(times, HELPER, { kind: RESOLVED, count: 3 });
}

/** One of three callbacks has an interceptor. */
export async function interceptor(isQuick) {
  class Interceptor {
    intercept(_context, next) {
      return next.handle();
    }
  }
  Injectable()(Interceptor);
  const intercepted = providers(bodies(RESOLVED, 1), Callback('x'));
  UseInterceptors(Interceptor)(intercepted[0]);
  const times = await sample(
    {
      [HELPER]: helper(three()),
      'none with an interceptor': await runOf(three()),
      'one of three with an interceptor': await runOf(bodies(RESOLVED, 2), { others: [...intercepted, Interceptor] }),
    },
    { rounds: isQuick ? 30 : 100 },
  );
  return rowsOf(times, HELPER, { kind: RESOLVED, count: 3 });
}

/** A subscriber on every step of both diagnostics channels. */
export async function traced(isQuick) {
  const run = await runOf(three());
  const listener = () => {};
  const watched = (channels) => ({
    async batch(n) {
      for (const channel of channels) subscribe(channel, listener);
      for (let i = 0; i < n; i++) await run();
      for (const channel of channels) unsubscribe(channel, listener);
    },
  });
  const steps = (channel) =>
    ['start', 'asyncEnd', 'error'].map((step) => `tracing:nestjs-callbacks:${channel}:${step}`);
  const options = { rounds: isQuick ? 20 : 100 };
  const about = { kind: RESOLVED, count: 3 };
  const before = await sample({ [HELPER]: helper(three()), 'nobody has subscribed yet': run }, options);
  const times = await sample(
    {
      [HELPER]: helper(three()),
      'nobody subscribes any more': watched([]),
      'a subscriber of runs': watched(steps('run')),
      'a subscriber of runs and callbacks': watched([...steps('run'), ...steps('callback')]),
    },
    options,
  );
  return [...rowsOf(before, HELPER, about).slice(1), ...rowsOf(times, HELPER, about)];
}

/** Imported in an application whose process has no OpenTelemetry SDK. */
export async function telemetry(isQuick) {
  const rows = [];
  const [without, withIt] = ['without EventsTelemetryModule', 'with EventsTelemetryModule, and no SDK'];
  for (const kind of Object.keys(KINDS)) {
    const candidates = {
      [without]: await runOf(bodies(kind, 3)),
      [withIt]: await runOf(bodies(kind, 3), { imports: [EventsTelemetryModule] }),
    };
    rows.push(...rowsOf(await sample(candidates, { rounds: isQuick ? 30 : 100 }), without, { kind, count: 3 }));
  }
  return rows;
}

/** As with a host application that keeps its request ids in an AsyncLocalStorage. */
export async function asyncContext(isQuick) {
  const names = [HELPER, RUN, 'emittery emitSerial()', 'hookable callHook()', `${EMITTER} emitAsync()`];
  return new AsyncLocalStorage().run({}, () => ofAllKinds(names, { rounds: isQuick ? 20 : 100 }));
}

/** Three callbacks of request-scoped providers. Only ours share their instances. */
export async function scoped(isQuick) {
  const perRequest = { scope: Scope.REQUEST };
  class UserJoined {}
  const handlers = three().map((body) => {
    class Handler {
      handle = body;
    }
    EventsHandler(UserJoined)(Handler);
    Injectable(perRequest)(Handler);
    return Handler;
  });
  const bus = (await application([CqrsModule.forRoot()], handlers)).get(EventBus);
  const base = `${EMITTER} emitAsync()`;
  const times = await sample(
    {
      [base]: await nestEmitter(three(), {}, perRequest),
      [RUN]: await runOf(three(), { scope: perRequest }),
      // It cannot be waited for: one turn of the event loop lets most of its work happen.
      [CQRS]: async () => (bus.publish(new UserJoined()), new Promise(setImmediate)),
    },
    { rounds: isQuick ? 20 : 100, sampleMs: 4 },
  );
  return rowsOf(times, base, { kind: RESOLVED, count: 3 });
}
