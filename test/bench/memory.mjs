// Whether runs leave anything behind: a million with a request-scoped callback, plain ones, failing ones. Needs a build.
// node --expose-gc test/bench/memory.mjs [runs]
import 'reflect-metadata';
import { Injectable, Module, Scope } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Callback, EventRunner, EventsModule } from '../../dist/index.js';

const RUNS = Number(process.argv[2] ?? 1_000_000);

function provider(event, body, scope) {
  class Answer {}
  Object.defineProperty(Answer.prototype, 'answer', { value: body, writable: true, configurable: true });
  Callback(event)(Answer.prototype, 'answer', Object.getOwnPropertyDescriptor(Answer.prototype, 'answer'));
  Injectable({ scope })(Answer);
  return Answer;
}

class AppModule {}
Module({
  imports: [EventsModule],
  providers: [
    provider('scoped', async () => {}, Scope.REQUEST),
    provider('plain', async () => {}),
    provider('failing', async () => {
      throw new Error('expected');
    }),
  ],
})(AppModule);
const app = await NestFactory.createApplicationContext(AppModule, { logger: false });
const events = app.get(EventRunner);

async function heapAfter(event, runs) {
  for (let run = 0; run < runs; run++) await events.run(event, run).catch(() => {});
  for (let i = 0; i < 3; i++) {
    globalThis.gc();
    await new Promise(setImmediate);
  }
  return process.memoryUsage().heapUsed;
}

for (const event of ['scoped', 'plain', 'failing']) {
  const before = await heapAfter(event, RUNS / 100);
  const after = await heapAfter(event, RUNS);
  const bytes = (after - before) / RUNS;
  console.log(
    `${event}: ${RUNS} runs, heap ${((after - before) / 1024).toFixed(0)} KiB more, ${bytes.toFixed(3)} bytes a run`,
  );
  if (bytes > 1) process.exitCode = 1;
}
await app.close();
