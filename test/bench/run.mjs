// What a run and a boot cost, against what one would use instead, interleaved in one run; ratios of medians.
// `npm run bench` builds first; `--quick` takes fewer samples.
import 'reflect-metadata';
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { EventEmitter2, EventEmitterModule, OnEvent } from '@nestjs/event-emitter';
import { Callback, EventRunner, EventsModule } from '../../dist/index.js';

const isQuick = process.argv.includes('--quick');
const SAMPLES = isQuick ? 15 : 45;
const RUNS = isQuick ? 5_000 : 20_000;
const silent = { logger: false };

// Not here: with(). Its async context makes every await of the process slower from then on, the peers' too.

/** Three providers whose one method answers `x`, each class with a method of its own. */
const kinds = {
  'synchronous callbacks': [(a) => a, (_, b) => b, () => 1],
  'resolved at once': [async (a) => a, async (_, b) => b, async () => 1],
  'really asynchronous': [async (a) => (await null, a), async (_, b) => (await null, b), async () => (await null, 1)],
};

function providers(bodies, decorator) {
  return bodies.map((body) => {
    class Answer {}
    Object.defineProperty(Answer.prototype, 'answer', { value: body, writable: true, configurable: true });
    decorate(Answer, 'answer', decorator);
    Injectable()(Answer);
    return Answer;
  });
}

const decorate = (type, method, decorator) =>
  decorator(type.prototype, method, Object.getOwnPropertyDescriptor(type.prototype, method));

async function application(imports, list) {
  class AppModule {}
  Module({ imports, providers: list })(AppModule);
  return NestFactory.createApplicationContext(AppModule, silent);
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

/** Takes turns, so that the machine's moods fall on all alike. Nanoseconds per call, medians. */
async function compare(candidates, calls, samples) {
  const times = Object.fromEntries(Object.keys(candidates).map((name) => [name, []]));
  for (let sample = -5; sample < samples; sample++) {
    for (const [name, work] of Object.entries(candidates)) {
      const startedAt = process.hrtime.bigint();
      for (let call = 0; call < calls; call++) await work();
      if (sample >= 0) times[name].push(Number(process.hrtime.bigint() - startedAt) / calls);
    }
  }
  return Object.fromEntries(Object.entries(times).map(([name, values]) => [name, median(values)]));
}

function print(title, medians, base) {
  console.log(`\n${title}`);
  for (const [name, time] of Object.entries(medians)) {
    console.log(`  ${name.padEnd(44)} ${(time / medians[base]).toFixed(2).padStart(7)} ×`);
  }
}

console.log(`Node ${process.version}, ratios of medians of ${SAMPLES} interleaved samples`);

for (const [kind, bodies] of Object.entries(kinds)) {
  const ours = await application([EventsModule], providers(bodies, Callback('x')));
  const theirs = await application(
    [EventEmitterModule.forRoot()],
    providers(bodies, OnEvent('x', { suppressErrors: false })),
  );
  await theirs.init();
  const events = ours.get(EventRunner);
  const emitter = theirs.get(EventEmitter2);
  const [one, two, three] = providers(bodies, () => {}).map((type) => new type());
  const byHand = async (a, b) => {
    await one.answer(a, b);
    await two.answer(a, b);
    await three.answer(a, b);
  };
  const medians = await compare(
    {
      'a helper that awaits the three calls': () => byHand('Ada', 'ada@example.org'),
      'events.run()': () => events.run('x', 'Ada', 'ada@example.org'),
      'events.runSettled()': () => events.runSettled('x', 'Ada', 'ada@example.org'),
      'events.runParallel()': () => events.runParallel('x', 'Ada', 'ada@example.org'),
      '@nestjs/event-emitter emitAsync() (no order)': () => emitter.emitAsync('x', 'Ada', 'ada@example.org'),
    },
    RUNS,
    SAMPLES,
  );
  print(`Three callbacks, ${kind}`, medians, 'a helper that awaits the three calls');
  await ours.close();
  await theirs.close();
}

const COUNT = 1_000;
const many = (decorator) =>
  Array.from({ length: COUNT }, (_, index) => {
    class Provider {}
    for (let method = 0; method < 20; method++) {
      Object.defineProperty(Provider.prototype, `method${method}`, { value() {}, writable: true, configurable: true });
    }
    if (index % 10 === 0)
      for (const method of ['method3', 'method7']) decorate(Provider, method, decorator(`event${index}`));
    Injectable()(Provider);
    return Provider;
  });
const plain = many(() => () => {});
const withOurs = many((event) => Callback(event));
const withTheirs = many((event) => OnEvent(event));
const boot = (imports, list) => async () => (await application(imports, list)).close();
const boots = await compare(
  {
    'Nest alone': boot([], plain),
    'with EventsModule': boot([EventsModule], withOurs),
    'with @nestjs/event-emitter': boot([EventEmitterModule.forRoot()], withTheirs),
  },
  1,
  isQuick ? 5 : 15,
);
print(`Boot and close, ${COUNT} providers of 20 methods, every tenth with two callbacks`, boots, 'Nest alone');
const share = (name) => boots[name] - boots['Nest alone'];
console.log(
  `  our share against theirs ${' '.repeat(20)}${(share('with EventsModule') / share('with @nestjs/event-emitter')).toFixed(2).padStart(7)} ×`,
);
