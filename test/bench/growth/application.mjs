// Applications of the build that is measured: that of this folder, or the one that `--dist=<folder>` names.
import 'reflect-metadata';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';

const option = (name) => process.argv.find((argument) => argument.startsWith(`--${name}=`))?.slice(name.length + 3);

export const only = option('only')?.split(',');
export const isQuick = process.argv.includes('--quick');
/** So many, or a tenth of them with `--quick`. */
export const rows = (count) => (isQuick ? count / 10 : count);

const folder = option('dist') ? resolve(option('dist')) : resolve(import.meta.dirname, '../../../dist');
const load = (path) => import(pathToFileURL(`${folder}/${path}`).href);

export const { Callback, EventDeliveries, EventRunner, EventsModule, inTransaction } = await load('index.js');
export const { postgres } = await load('postgres/index.js');
export const { redis } = await load('redis/index.js');

export const CONCURRENCY = 10;

/** An application with so many durable callbacks of the event `x`, all of which call `perform`. */
export async function start(engine, { perform = async () => {}, callbacks = 1, work = true, ...durable } = {}) {
  const providers = Array.from({ length: callbacks }, (_, index) => {
    class Answer {}
    Answer.prototype.answer = perform;
    const decorator = Callback('x', {
      delivery: 'durable',
      id: `Answer${index}`,
      concurrency: CONCURRENCY,
      ...durable,
    });
    decorator(Answer.prototype, 'answer', Object.getOwnPropertyDescriptor(Answer.prototype, 'answer'));
    return Answer;
  });
  class AppModule {}
  Module({ imports: [EventsModule.forRoot({ engine, work })], providers })(AppModule);
  const app = await NestFactory.createApplicationContext(AppModule, { logger: false, abortOnError: false });
  await app.init();
  return { events: app.get(EventRunner), deliveries: app.get(EventDeliveries), close: () => app.close() };
}
