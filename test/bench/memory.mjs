// What is allocated, what is kept, and whether it ever ends. Needs --expose-gc and a young generation that no run fills.
import { EventEmitter } from 'node:events';
import { Scope } from '@nestjs/common';
import { EventEmitterModule, OnEvent } from '@nestjs/event-emitter';
import Emittery from 'emittery';
import { Callback, EventRunner, EventsModule } from '../../dist/index.js';
import { application, bodies, decorate, KINDS, NAME, providers, runner } from './applications.mjs';
import { EMITTER, HELPER, helper, nestEmitter, PEERS, RUN } from './peers.mjs';
import { loop } from './sampler.mjs';

async function heapUsed() {
  for (let i = 0; i < 3; i++) {
    globalThis.gc();
    await new Promise(setImmediate);
  }
  return process.memoryUsage().heapUsed;
}

/** Bytes allocated by a run of three callbacks, those of the callbacks' own promises included. */
export async function bytesPerRun(isQuick) {
  const rows = [];
  for (const kind of isQuick ? ['resolved at once'] : Object.keys(KINDS)) {
    for (const { name, make } of PEERS) {
      const work = await make(bodies(kind, 3));
      const batch = work.batch ?? loop(work);
      await batch(10_000);
      const before = await heapUsed();
      await batch(5_000);
      rows.push({ kind, count: 3, name, bytes: Math.round((process.memoryUsage().heapUsed - before) / 5_000) });
    }
  }
  return rows;
}

/** Bytes kept for a callback that is registered: ten thousand on a hundred classes, against the same undecorated. */
export async function bytesPerCallback() {
  const COUNT = 10_000;
  const classes = (decorator) =>
    Array.from({ length: 100 }, (_, index) => {
      const [type] = providers([() => {}]);
      for (let method = 0; method < 100; method++) {
        const name = `m${method}`;
        Object.defineProperty(type.prototype, name, { value() {}, writable: true, configurable: true });
        decorate(type, name, decorator(`event${index}-${method}`));
      }
      return type;
    });
  const kept = [];
  const cost = async (make) => {
    const before = await heapUsed();
    kept.push(await make());
    return ((await heapUsed()) - before) / COUNT;
  };
  const nothing = () => () => {};
  await cost(() => application([], classes(nothing)));
  const alone = await cost(() => application([], classes(nothing)));
  const targets = () => Array.from({ length: COUNT }, (_, index) => ({ event: `event${index}`, call() {} }));
  const bare = await cost(targets);
  const emitting = (emitter) => () => {
    const list = targets();
    for (const target of list) emitter.on(target.event, () => target.call());
    return [emitter, list];
  };
  const rows = {
    'nestjs-callbacks':
      (await cost(() =>
        application(
          [EventsModule],
          classes((event) => Callback(event)),
        ),
      )) - alone,
    [EMITTER]:
      (await cost(() =>
        application(
          [EventEmitterModule.forRoot()],
          classes((event) => OnEvent(event)),
        ),
      )) - alone,
    'node:events': (await cost(emitting(new EventEmitter()))) - bare,
    emittery: (await cost(emitting(new Emittery()))) - bare,
  };
  return Object.entries(rows).map(([name, bytes]) => ({ name, bytes: Math.round(bytes) }));
}

/** A hundred thousand runs begun without waiting for any, each with one callback that takes 10 ms. */
export async function inFlight(isQuick) {
  const COUNT = isQuick ? 20_000 : 100_000;
  const list = [() => new Promise((resolve) => setTimeout(resolve, 10))];
  const events = await runner(list);
  const candidates = {
    [HELPER]: helper(list),
    [RUN]: () => events.run('x', NAME),
    [`${EMITTER} emitAsync()`]: await nestEmitter(list, {}),
  };
  const rows = [];
  for (const [name, work] of Object.entries(candidates)) {
    await Promise.all(Array.from({ length: 1_000 }, work));
    const before = await heapUsed();
    const startedAt = performance.now();
    const runs = Array.from({ length: COUNT }, work);
    globalThis.gc();
    const bytes = Math.round((process.memoryUsage().heapUsed - before) / COUNT);
    await Promise.all(runs);
    rows.push({ count: COUNT, name, bytes, ms: Math.round(performance.now() - startedAt) });
  }
  return rows;
}

/** Whether runs leave anything behind. */
export async function growth(isQuick) {
  const events = await eventsOf({ plain: [async () => {}], failing: [fails], scoped: [async () => {}, Scope.REQUEST] });
  const RUNS = isQuick
    ? { plain: 100_000, failing: 5_000, scoped: 20_000 }
    : { plain: 10_000_000, failing: 500_000, scoped: 500_000 };
  const rows = [];
  for (const [event, runs] of Object.entries(RUNS)) {
    const heapAfter = async (count) => {
      for (let run = 0; run < count; run++) await events.run(event, run).catch(() => {});
      return heapUsed();
    };
    const before = await heapAfter(runs);
    rows.push({ name: event, count: runs, bytes: (await heapAfter(runs)) - before });
  }
  return rows;
}

async function fails() {
  throw new Error('expected');
}

/** Background work that arrives faster than it is done: what is beyond the bound is dropped, and told. */
export async function background(isQuick) {
  let told = 0;
  const [type] = providers(
    [() => new Promise((resolve) => setTimeout(resolve, 1_000).unref())],
    Callback('x', { delivery: 'background' }),
  );
  const app = await application([EventsModule.forRoot({ onError: () => told++ })], [type]);
  const events = app.get(EventRunner);
  const rows = [];
  const before = await heapUsed();
  for (const count of [20_000, isQuick ? 20_000 : 1_000_000]) {
    for (let run = 0; run < count; run++) await events.run('x', NAME);
    rows.push({ name: `${count} more`, count, bytes: (await heapUsed()) - before, told });
  }
  return rows;
}

async function eventsOf(events) {
  const list = Object.entries(events).map(([event, [body, scope]]) => providers([body], Callback(event), { scope })[0]);
  return (await application([EventsModule], list)).get(EventRunner);
}
