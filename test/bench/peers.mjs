// What one would use instead of us, each at its newest, with the same callbacks.
import { EventEmitter } from 'node:events';
import { EventBus, CqrsModule, EventsHandler } from '@nestjs/cqrs';
import { EventEmitter2 as NestEmitter, EventEmitterModule, OnEvent } from '@nestjs/event-emitter';
import { Injectable } from '@nestjs/common';
import EventEmitter2 from 'eventemitter2';
import EventEmitter3 from 'eventemitter3';
import Emittery from 'emittery';
import { createHooks } from 'hookable';
import { Subject } from 'rxjs';
import { application, EMAIL, NAME, providers, runner } from './applications.mjs';

const targetsOf = (list) => providers(list).map((type) => new type());
const names = (targets) => targets.map((_, index) => `c${index}`);

function listening(emitter, list) {
  for (const target of targetsOf(list)) emitter.on('x', (a, b) => target.answer(a, b));
  return emitter;
}

/** Code as one would write it by hand for just these callbacks. */
const written = (targets, code) =>
  // oxlint-disable-next-line typescript/no-implied-eval
  new Function('targets', `const [${names(targets).join(', ')}] = targets; return ${code};`)(targets);

export const HELPER = 'awaits in a helper function';
export const RUN = 'events.run()';
export const EMITTER = '@nestjs/event-emitter';
export const CQRS = '@nestjs/cqrs publish()';

/** `awaits`: whether the caller can wait for the callbacks. `ordered`: whether one begins when the one before ended. */
export const PEERS = [
  {
    name: 'awaits in place',
    awaits: true,
    ordered: true,
    make: (list) => {
      const targets = targetsOf(list);
      const calls = names(targets).map((name) => `await ${name}.answer('${NAME}', '${EMAIL}');`);
      return { batch: written(targets, `async (n) => { for (let i = 0; i < n; i++) { ${calls.join(' ')} } }`) };
    },
  },
  { name: HELPER, awaits: true, ordered: true, make: (list) => helper(list) },
  {
    name: 'Promise.all in a helper function',
    awaits: true,
    ordered: false,
    make: (list) => {
      const targets = targetsOf(list);
      const calls = names(targets).map((name) => `${name}.answer(a, b)`);
      const work = written(targets, `(a, b) => Promise.all([${calls.join(', ')}])`);
      return () => work(NAME, EMAIL);
    },
  },
  {
    name: RUN,
    awaits: true,
    ordered: true,
    make: async (list) => {
      const events = await runner(list);
      return () => events.run('x', NAME, EMAIL);
    },
  },
  {
    name: 'node:events emit()',
    awaits: false,
    ordered: false,
    make: (list) => {
      const emitter = listening(new EventEmitter().setMaxListeners(0), list);
      return () => emitter.emit('x', NAME, EMAIL);
    },
  },
  {
    name: 'eventemitter3 emit()',
    awaits: false,
    ordered: false,
    make: (list) => {
      const emitter = listening(new EventEmitter3(), list);
      return () => emitter.emit('x', NAME, EMAIL);
    },
  },
  {
    name: 'rxjs Subject next()',
    awaits: false,
    ordered: false,
    make: (list) => {
      const subject = new Subject();
      for (const target of targetsOf(list)) subject.subscribe(({ a, b }) => target.answer(a, b));
      return () => subject.next({ a: NAME, b: EMAIL });
    },
  },
  {
    name: 'eventemitter2 emitAsync()',
    awaits: true,
    ordered: false,
    make: (list) => {
      const emitter = listening(new EventEmitter2({ maxListeners: 0 }), list);
      return () => emitter.emitAsync('x', NAME, EMAIL);
    },
  },
  {
    name: 'emittery emitSerial()',
    awaits: true,
    ordered: true,
    make: (list) => {
      const emitter = new Emittery();
      for (const target of targetsOf(list)) emitter.on('x', ({ data }) => target.answer(data.a, data.b));
      return () => emitter.emitSerial('x', { a: NAME, b: EMAIL });
    },
  },
  {
    name: 'hookable callHook()',
    awaits: true,
    ordered: true,
    make: (list) => {
      const hooks = createHooks();
      for (const target of targetsOf(list)) hooks.hook('x', (a, b) => target.answer(a, b));
      return () => hooks.callHook('x', NAME, EMAIL);
    },
  },
  {
    name: `${EMITTER} emitAsync()`,
    awaits: true,
    ordered: false,
    make: (list) => nestEmitter(list, {}),
  },
  {
    name: `${EMITTER} emitAsync(), errors thrown`,
    awaits: true,
    ordered: false,
    make: (list) => nestEmitter(list, { suppressErrors: false }),
  },
  {
    name: CQRS,
    awaits: false,
    ordered: false,
    make: async (list) => {
      class UserJoined {
        constructor(a, b) {
          this.a = a;
          this.b = b;
        }
      }
      const handlers = list.map((body) => {
        class Handler {
          handle({ a, b }) {
            return body(a, b);
          }
        }
        EventsHandler(UserJoined)(Handler);
        Injectable()(Handler);
        return Handler;
      });
      const bus = (await application([CqrsModule.forRoot()], handlers)).get(EventBus);
      return () => bus.publish(new UserJoined(NAME, EMAIL));
    },
  },
];

export function helper(list) {
  const targets = targetsOf(list);
  const calls = names(targets).map((name) => `await ${name}.answer(a, b);`);
  const work = written(targets, `async (a, b) => { ${calls.join(' ')} }`);
  return () => work(NAME, EMAIL);
}

export async function nestEmitter(list, options, scope) {
  const app = await application(
    [EventEmitterModule.forRoot({ maxListeners: 0 })],
    providers(list, OnEvent('x', options), scope),
  );
  const emitter = app.get(NestEmitter);
  return () => emitter.emitAsync('x', NAME, EMAIL);
}
