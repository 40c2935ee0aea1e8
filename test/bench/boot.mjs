// What a boot costs: the time that a package itself takes to find its methods, in an application of so many providers
// with twenty methods each, of which every tenth answers two events. New classes for each boot.
import { Injectable } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { CqrsModule, EventsHandler } from '@nestjs/cqrs';
import { EventEmitterModule, OnEvent } from '@nestjs/event-emitter';
import { Callback, EventsModule } from '../../dist/index.js';
import { CallbackRegistry } from '../../dist/core/callbacks/callback-registry.js';
import { application, decorate } from './applications.mjs';
import { EMITTER } from './peers.mjs';
import { median, ratio } from './sampler.mjs';

let spentMs = 0;

function clock(type, method) {
  const original = type.prototype[method];
  type.prototype[method] = function (...args) {
    const startedAt = performance.now();
    const result = original.apply(this, args);
    spentMs += performance.now() - startedAt;
    return result;
  };
}
clock(CallbackRegistry, 'boot');
clock(CqrsModule, 'onApplicationBootstrap');
clock(await loaderOfEmitter(), 'onApplicationBootstrap');

/** The class that reads `@OnEvent()`: the package does not export it. */
async function loaderOfEmitter() {
  const app = await application([EventEmitterModule.forRoot()], []);
  const tokens = [...app.get(ModulesContainer).values()].flatMap(({ providers }) => [...providers.keys()]);
  return tokens.find((token) => token.name === 'EventSubscribersLoader');
}

const NOTHING = () => {};

function manyProviders(count, decorator) {
  return Array.from({ length: count }, (_, index) => {
    class Provider {}
    for (let method = 0; method < 20; method++) {
      Object.defineProperty(Provider.prototype, `method${method}`, { value() {}, writable: true, configurable: true });
    }
    if (index % 10 === 0) decorator(Provider, `event${index}`);
    Injectable()(Provider);
    return Provider;
  });
}

const onMethods = (decorator) => (type, event) => {
  for (const method of ['method3', 'method7']) decorate(type, method, decorator(event));
};

const CANDIDATES = {
  [EMITTER]: [EventEmitterModule.forRoot(), onMethods((event) => OnEvent(event))],
  'nestjs-callbacks': [EventsModule, onMethods((event) => Callback(event))],
  '@nestjs/cqrs': [
    CqrsModule.forRoot(),
    (type) => {
      Object.defineProperty(type.prototype, 'handle', { value: NOTHING });
      EventsHandler(class {}, class {})(type);
    },
  ],
};

/** How many providers, and how often each is booted. */
const QUICK = [
  [100, 40], // until V8 has compiled what it runs
  [1_000, 10],
];
const FULL = [
  [100, 40],
  [1_000, 40],
  [10_000, 8],
];

export async function boot(isQuick) {
  const rows = [];
  for (const [count, boots] of isQuick ? QUICK : FULL) {
    const times = Object.fromEntries(Object.keys(CANDIDATES).map((name) => [name, []]));
    for (let round = -2; round < boots; round++) {
      for (const [name, [module, decorator]] of Object.entries(CANDIDATES)) {
        const list = manyProviders(count, decorator);
        spentMs = 0;
        const app = await application([module], list);
        if (round >= 0) times[name].push(spentMs * 1e6);
        await app.close();
      }
    }
    for (const [name, values] of Object.entries(times)) {
      rows.push({ count, name, base: EMITTER, ns: Math.round(median(values)), ...ratio(values, times[EMITTER]) });
    }
  }
  return rows;
}
