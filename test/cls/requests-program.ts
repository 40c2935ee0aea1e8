/** An application whose requests say in a header of which tenant they are. Prints what its callbacks have found in CLS, as JSON. */
import 'reflect-metadata';
import type { AddressInfo } from 'node:net';
import { Controller, Injectable, Module, Param, Post, Req } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { CLS_REQ, ClsModule, ClsService, type ClsStore, InjectableProxy } from 'nestjs-cls';
import { Callback, currentEvent, EventDeliveries, EventRunner, EventsModule, inTransaction } from 'nestjs-callbacks';
import { clsPropagator } from 'nestjs-callbacks/cls';
import { memoryEngine } from 'nestjs-callbacks/testing';
import { turn, until } from '../support/app.js';

/** What a callback has found. */
export interface Seen {
  readonly callback: string;
  readonly attempt?: number;
  readonly tenant: unknown;
  readonly userId: unknown;
  /** Whether the store is that of a request. */
  readonly ofRequest: boolean;
  /** What an attempt has left there. */
  readonly left: unknown;
}

export interface Results {
  readonly retried: Seen[];
  /** By each request: its tenant, and those that its attempts have found. */
  readonly concurrent: [string, unknown[]][];
  readonly passed: Seen[];
  readonly held: Held;
  readonly rolledBack: Held;
  readonly changed: Held;
  readonly without: Held;
  readonly unset: Seen[];
  readonly proxied: unknown[];
}

/** What callbacks have found that waited for the end of a transaction, and the request afterwards. */
interface Held {
  readonly seen: Seen[];
  readonly after: Seen;
  /** Whether they have found the very object that is the request's user. */
  readonly isSameUser: boolean;
}

interface Store extends ClsStore {
  tenant: string;
  user: { id: string; rights: Set<string> };
}

/** The compiler knows the keys of the store. */
export const mistyped = () =>
  // @ts-expect-error: no such key
  clsPropagator<Store>({ keys: ['tenant', 'user.di'] });

const NOW = { attempts: 3, delayMs: 0 };
const PASSED = { tenant: 'umbrella', 'user.id': 'json:7' };
const seen: Seen[] = [];
const later: [string, unknown][] = [];
let userOfHeld: unknown;

@InjectableProxy()
class Tenant {
  readonly name: string;

  constructor(cls: ClsService) {
    this.name = cls.get('tenant');
  }
}

@Injectable()
class Callbacks {
  constructor(
    private readonly cls: ClsService,
    private readonly events: EventRunner,
    private readonly tenant: Tenant,
  ) {}

  look(callback: string): Seen {
    const { cls } = this;
    const attempt = currentEvent()?.delivery?.attempt;
    return {
      callback,
      ...(attempt !== undefined && { attempt }),
      tenant: cls.get('tenant'),
      userId: cls.get('user.id'),
      ofRequest: cls.get(CLS_REQ) !== undefined,
      left: cls.get('left'),
    };
  }

  @Callback('order', { delivery: 'durable', retry: NOW }) async ship() {
    const { attempt } = currentEvent()!.delivery!;
    seen.push(this.look('ship'));
    if (attempt === 1) {
      for (const key of ['tenant', 'user.id', 'left']) this.cls.set(key, 'set in attempt 1');
      await post('run/bill', 'globex');
      await until(() => seen.some(({ callback }) => callback === 'bill'));
      throw new Error('no');
    }
    await inSome(() => this.events.run('shipped'));
  }

  @Callback('bill', { delivery: 'durable' }) bill() {
    seen.push(this.look('bill'));
  }

  @Callback('shipped', { delivery: 'after-commit' }) announce() {
    seen.push(this.look('announce'));
  }

  @Callback('many', { delivery: 'durable', retry: NOW, concurrency: 50 }) async one(tenant: string) {
    await turn();
    later.push([tenant, this.cls.get('tenant')]);
    if (currentEvent()!.delivery!.attempt < 3) throw new Error('no');
  }

  @Callback('held', { delivery: 'after-commit' }) async afterCommit() {
    await turn();
    seen.push(this.look('afterCommit'));
    userOfHeld = this.cls.get('user');
    this.cls.set('left', 'set after the commit');
  }

  @Callback('held', { delivery: 'after-rollback' }) afterRollback() {
    seen.push(this.look('afterRollback'));
    userOfHeld = this.cls.get('user');
    this.cls.set('left', 'set after the roll-back');
  }

  @Callback('proxied', { delivery: 'durable' }) async proxied() {
    const before = this.tenant.name;
    await this.cls.proxy.resolve();
    later.push([String(before), this.tenant.name]);
  }
}

const inSome = (work: () => Promise<void>) =>
  inTransaction((inside) => inside({ query: async () => ({ rows: [] }) }), work);

@Controller()
class Orders {
  constructor(
    private readonly events: EventRunner,
    private readonly callbacks: Callbacks,
    private readonly cls: ClsService,
  ) {}

  @Post('run/:event') async run(
    @Param('event') event: string,
    @Req() { headers }: { headers: Record<string, string> },
  ) {
    await this.events.run(event, headers['x-tenant']);
  }

  @Post('passed') async passed() {
    await this.events.with({ headers: PASSED }).run('bill');
  }

  @Post('held/:how') async held(@Param('how') how: string) {
    const user: unknown = this.cls.get('user');
    const events = how === 'changed' ? this.events.with({ headers: PASSED }) : this.events;
    await inSome(async () => {
      // Of no tenant, within the transaction of one.
      if (how === 'without') await this.cls.runWith({}, () => events.run('held'));
      else await events.run('held');
      if (how === 'rolledBack') throw new Error('no');
    }).catch(() => {});
    return { after: this.callbacks.look('request'), isSameUser: userOfHeld === user };
  }
}

@Module({
  imports: [
    ClsModule.forRoot({
      global: true,
      proxyProviders: [Tenant],
      middleware: {
        mount: true,
        setup(cls, { headers }) {
          const tenant = headers['x-tenant'] as string | undefined;
          cls.set('tenant', tenant);
          if (tenant) cls.set('user', { id: `a user of ${tenant}`, rights: new Set(['read']) });
        },
      },
    }),
    EventsModule.forRoot({
      engine: memoryEngine(),
      propagators: [clsPropagator<Store>({ keys: ['tenant', 'user.id'] })],
    }),
  ],
  controllers: [Orders],
  providers: [Callbacks],
})
class AppModule {}

let port = 0;
async function post(path: string, tenant?: string): Promise<any> {
  const headers: Record<string, string> = tenant === undefined ? {} : { 'x-tenant': tenant };
  const response = await fetch(`http://127.0.0.1:${port}/${path}`, { method: 'POST', headers });
  const text = await response.text();
  if (!response.ok) throw new Error(`${path}: ${text}`);
  return text && JSON.parse(text);
}

const app = await NestFactory.create(AppModule, { logger: false });
await app.listen(0, '127.0.0.1');
({ port } = app.getHttpServer().address() as AddressInfo);

/** What was seen until all deliveries were performed. */
async function settled(): Promise<Seen[]> {
  const deliveries = app.get(EventDeliveries);
  await until(async () =>
    (await deliveries.counts()).every(({ waiting, delayed, running }) => waiting + delayed + running === 0),
  );
  return seen.splice(0);
}

const heldBy = async (how: string): Promise<Held> => {
  const answer = await post(`held/${how}`, 'acme');
  return { ...answer, seen: await settled() };
};

await post('run/order', 'acme');
const retried = await settled();
const tenants = Array.from({ length: 200 }, (_, index) => `tenant ${index}`);
await Promise.all(tenants.map((tenant) => post('run/many', tenant)));
await settled();
const concurrent = tenants.map((tenant): [string, unknown[]] => [
  tenant,
  later.filter(([of]) => of === tenant).map(([, found]) => found),
]);
later.length = 0;
await post('passed', 'acme');
const passed = await settled();
const held = await heldBy('committed');
const rolledBack = await heldBy('rolledBack');
const changed = await heldBy('changed');
const without = await heldBy('without');
await post('run/bill');
const unset = await settled();
await post('run/proxied', 'acme');
await settled();
const results: Results = { retried, concurrent, passed, held, rolledBack, changed, without, unset, proxied: later };
await app.close();
console.log(JSON.stringify(results));
