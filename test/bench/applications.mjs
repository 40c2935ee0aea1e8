// Nest applications with so many callbacks of one event, and what the callbacks do.
import 'reflect-metadata';
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Callback, EventRunner, EventsModule } from '../../dist/index.js';

export const NAME = 'Ada';
export const EMAIL = 'ada@example.org';

/** What callbacks do: the same number of functions of a kind, over and over. */
export const KINDS = {
  synchronous: [(a) => a, (_, b) => b, () => 1],
  'resolved at once': [async (a) => a, async (_, b) => b, async () => 1],
  'really asynchronous': [async (a) => (await null, a), async (_, b) => (await null, b), async () => (await null, 1)],
};

export const bodies = (kind, count) => Array.from({ length: count }, (_, index) => KINDS[kind][index % 3]);

export const decorate = (type, method, decorator) =>
  decorator(type.prototype, method, Object.getOwnPropertyDescriptor(type.prototype, method));

/** One class per body, whose method `answer` a decorator marks. */
export function providers(list, decorator, options) {
  return list.map((body) => {
    class Answer {}
    Object.defineProperty(Answer.prototype, 'answer', { value: body, writable: true, configurable: true });
    if (decorator) decorate(Answer, 'answer', decorator);
    Injectable(options)(Answer);
    return Answer;
  });
}

export async function application(imports, list) {
  class AppModule {}
  Module({ imports, providers: list })(AppModule);
  const app = await NestFactory.createApplicationContext(AppModule, { logger: false });
  return app.init();
}

/** Our runner, with these callbacks of the event `x` behind whatever else there is: it is the last to be found. */
export async function runner(list, { options = {}, imports = [], others = [], scope } = {}) {
  const app = await application(
    [EventsModule.forRoot(options), ...imports],
    [...others, ...providers(list, Callback('x'), scope)],
  );
  return app.get(EventRunner);
}
