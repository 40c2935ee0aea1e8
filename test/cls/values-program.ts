/** Prints what becomes of values that are put into CLS, and of options, as JSON; without a ClsModule. */
import 'reflect-metadata';
import { inspect, isDeepStrictEqual } from 'node:util';
import { runInNewContext } from 'node:vm';
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { CLS_ID, ClsServiceManager } from 'nestjs-cls';
import { Callback, currentEvent, EventDeliveries, EventRunner, type EventsError, EventsModule } from 'nestjs-callbacks';
import { clsPropagator } from 'nestjs-callbacks/cls';
import { memoryEngine } from 'nestjs-callbacks/testing';
import { until } from '../support/app.js';

/** The code and the message of an error. */
type Told = readonly [code: string, message: string];

export interface Results {
  /** Of each value: its header, how it has arrived, and whether that equals it. */
  readonly values: (readonly [header: string | undefined, arrived: string, isEqual: boolean])[];
  /** Of each value that cannot travel: what the run was refused with. */
  readonly refusals: Told[];
  /** Of each wrong call of `clsPropagator()`. */
  readonly options: Told[];
  /** What an attempt finds of a run that was made in no store: the value, and whether it has a store. */
  readonly outside: unknown;
  /** Whether a run is refused that was passed the header of a value that cannot travel. */
  readonly passed: unknown;
}

const cls = ClsServiceManager.getClsService<any>();
const arrived: [value: unknown, isActive: boolean, header: string | undefined][] = [];

@Injectable()
class Callbacks {
  @Callback('x', { delivery: 'durable' }) go() {
    arrived.push([cls.get('value'), cls.isActive(), currentEvent()!.headers.value]);
  }
}

@Module({
  imports: [EventsModule.forRoot({ engine: memoryEngine(), propagators: [clsPropagator({ keys: ['value'] })] })],
  providers: [Callbacks],
})
class AppModule {}

const app = await NestFactory.createApplicationContext(AppModule, { logger: false });
const events = app.get(EventRunner);

async function settled() {
  await until(async () =>
    (await app.get(EventDeliveries).counts()).every(({ waiting, running }) => waiting + running === 0),
  );
  return arrived.splice(0);
}

const VALUES: unknown[] = [
  'acme',
  '',
  ' as it is ',
  'Ünïcödé 🎉 \t "quoted" \\',
  '7',
  'null',
  '{"a":1}',
  'json:7',
  'json:',
  'two\nlines',
  'a\u0000b\u007fc\u0085d',
  'half of \ud83c',
  7,
  -0.5,
  1e21,
  true,
  false,
  null,
  [],
  {},
  [1, 'a', null, [{ b: 'two\nlines\u009f' }]],
  { id: 7, of: { '\u0085': ['json:x'] } },
  Object.assign(Object.create(null), { of: 'no class' }),
  runInNewContext('({ of: ["another realm"] })'),
];
/** An object of another realm, or of no class at all, arrives as one of this realm. */
const isEqual = (found: unknown, value: unknown) =>
  isDeepStrictEqual(found, typeof value === 'object' && value !== null ? structuredClone(value) : value);

class User {
  constructor(readonly id: number) {}
}
const circle: Record<string, unknown> = {};
circle.again = { circle };
const UNFIT: unknown[] = [
  new Date(0),
  new Map(),
  new User(7),
  () => {},
  { role: undefined },
  circle,
  7n,
  NaN,
  Symbol('s'),
  { since: [new Date(0)] },
  Object.assign(Array(3), [1, 2]),
  'a,b'.match(/(a),/),
  { [Symbol('hidden')]: 1 },
  Object.create({ inherited: 1 }),
];

const values: Results['values'] = [];
for (const value of VALUES) {
  await cls.runWith({ value }, () => events.run('x'));
  const [[found, , header]] = await settled();
  values.push([header, inspect(found), isEqual(found, value)]);
}

const told = ({ code, message }: EventsError): Told => [code, message];
const refusals: Told[] = [];
for (const value of UNFIT) {
  refusals.push(await cls.runWith({ value }, () => events.run('x')).then(() => ['stored', inspect(value)], told));
}
await cls.runWith({ value: new Date(0) }, () => events.with({ headers: { value: 'today' } }).run('x'));
const [passed] = await settled();

const WRONG: unknown[] = [
  undefined,
  ['tenant'],
  {},
  { keys: [] },
  { keys: 'tenant' },
  { keys: [CLS_ID] },
  { keys: ['tenant', ''] },
  { keys: ['user name'] },
  { keys: ['Tenant', 'tenant'] },
  { keys: ['user', 'user.id'] },
  { keys: ['Correlation-Id'] },
  { keys: ['tenant'], key: 'user' },
  { keys: ['tenant'], prefix: 'x-' },
];
const options = WRONG.map((given): Told => {
  try {
    clsPropagator(given as never);
    return ['taken', inspect(given)];
  } catch (error) {
    return told(error as EventsError);
  }
});

await events.run('x');
const [outside] = await settled();
await app.close();
console.log(JSON.stringify({ values, refusals, options, outside, passed } satisfies Results));
