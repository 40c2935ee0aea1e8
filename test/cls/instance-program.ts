/**
 * An instance of an application. The arguments: an engine, its server, where it keeps its deliveries, and what the instance is
 * for. A `web` takes requests, and leaves the work to others: it prints its port. A `worker` prints what it finds in CLS.
 */
import 'reflect-metadata';
import type { AddressInfo } from 'node:net';
import { Controller, Injectable, Module, Param, Post } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ClsModule, ClsService } from 'nestjs-cls';
import { Callback, currentEvent, EventRunner, EventsModule, inTransaction } from 'nestjs-callbacks';
import { clsPropagator } from 'nestjs-callbacks/cls';
import { postgres } from 'nestjs-callbacks/postgres';
import { redis } from 'nestjs-callbacks/redis';
import pg from 'pg';
import { turn } from '../support/app.js';
import { inPgTransaction } from '../support/pg-transaction.js';

type Open = (work: (tx: object) => Promise<void>) => Promise<void>;

const [, , kind, server, place, purpose] = process.argv;
const pool = new pg.Pool(kind === 'postgres' ? { connectionString: server } : {});
/** The engine, and how the application opens a transaction: with Redis that is one of some other store. */
const { engine, open } =
  kind === 'postgres'
    ? {
        engine: postgres({ pool, schema: place, leaseMs: 2_000 }),
        open: ((work) => inPgTransaction(pool, work)) satisfies Open,
      }
    : { engine: redis({ url: server, prefix: place, leaseMs: 2_000 }), open: ((work) => work({})) satisfies Open };

@Injectable()
class Orders {
  constructor(private readonly cls: ClsService) {}

  @Callback('order', { delivery: 'durable', retry: { attempts: 3, delayMs: 0 } }) async ship(what: string) {
    const { attempt } = currentEvent()!.delivery!;
    await turn();
    console.log(`${what}: attempt ${attempt} of ${this.cls.get('tenant')}`);
    this.cls.set('tenant', `somebody in attempt ${attempt}`);
    if (what === 'fails' && attempt < 3) throw new Error('no');
    if (what === 'hangs' && attempt === 1) await new Promise(() => {});
  }
}

@Controller()
class Requests {
  constructor(private readonly events: EventRunner) {}

  @Post(':what') async order(@Param('what') what: string) {
    const run = () => this.events.run('order', what);
    if (!['commits', 'rolls back'].includes(what)) return run();
    await inTransaction(open, async () => {
      await run();
      if (what === 'rolls back') throw new Error('no');
    }).catch(() => {});
  }
}

@Module({
  imports: [
    ClsModule.forRoot({
      global: true,
      middleware: { mount: true, setup: (cls, { headers }) => cls.set('tenant', headers['x-tenant']) },
    }),
    EventsModule.forRoot({ engine, work: purpose === 'worker', propagators: [clsPropagator({ keys: ['tenant'] })] }),
  ],
  controllers: [Requests],
  providers: [Orders],
})
class AppModule {}

const app = await NestFactory.create(AppModule, { logger: ['error'] });
if (purpose === 'web') {
  await app.listen(0, '127.0.0.1');
  const { port } = app.getHttpServer().address() as AddressInfo;
  console.log(`port ${port}, listening`);
} else {
  await app.init();
}
