/**
 * An application with `@nestjs-cls/transactional` on TypeORM, in a schema of its own. Each row says of which tenant it is, as CLS
 * has it. Prints what became of each scenario, as JSON.
 */
import 'reflect-metadata';
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ClsPluginTransactional, Propagation, Transactional, TransactionHost } from '@nestjs-cls/transactional';
import { TransactionalAdapterTypeOrm } from '@nestjs-cls/transactional-adapter-typeorm';
import { ClsModule, ClsService } from 'nestjs-cls';
import { Callback, currentEvent, EventDeliveries, EventRunner, EventsModule } from 'nestjs-callbacks';
import { clsPropagator } from 'nestjs-callbacks/cls';
import { postgres } from 'nestjs-callbacks/postgres';
import { withEvents } from 'nestjs-callbacks/transactional';
import pg from 'pg';
import { DataSource, type EntityManager } from 'typeorm';
import { until } from '../support/app.js';

/** What became of one scenario. */
export interface Scene {
  /** What each callback has found. */
  readonly ran: string[];
  /** What is in the table. */
  readonly rows: string[];
}

const [, , connectionString, schema] = process.argv;
const rollBack = new Error('rolled back');
const ran: string[] = [];
const pool = new pg.Pool({ connectionString });
await pool.query(`create schema ${schema}; create table ${schema}.rows (of text)`);
const dataSource = await new DataSource({ type: 'postgres', url: connectionString }).initialize();

@Injectable()
class Rows {
  constructor(
    private readonly host: TransactionHost<any>,
    private readonly cls: ClsService,
  ) {}

  async add(what: string) {
    const tx = this.host.tx as EntityManager;
    await tx.query(`insert into ${schema}.rows (of) values ($1)`, [`${what} of ${this.cls.get('tenant')}`]);
  }

  note(callback: string) {
    const { attempt } = currentEvent()!.delivery ?? {};
    const where = this.host.isTransactionActive() ? 'inside' : 'outside';
    const isFallback = this.host.tx === dataSource.manager;
    if (isFallback === this.host.isTransactionActive()) throw new Error('The handle is not that of the transaction.');
    ran.push(`${callback}${attempt ? ` ${attempt}` : ''} of ${this.cls.get('tenant')}, ${where}`);
  }
}

@Injectable()
class Reactions {
  constructor(
    private readonly rows: Rows,
    private readonly events: EventRunner,
  ) {}

  @Callback('joined', { delivery: 'after-commit' }) async announce() {
    this.rows.note('announce');
    await this.rows.add('news');
    await this.tell();
    this.rows.note('announce, later,');
  }

  @Transactional() private async tell() {
    await this.rows.add('told');
    await this.events.run('told');
    this.rows.note('tell');
  }

  @Callback('joined', { delivery: 'after-rollback' }) async regret() {
    this.rows.note('regret');
    await this.rows.add('regret');
  }

  @Callback('joined', { delivery: 'durable', retry: { attempts: 3, delayMs: 0 } }) async greet() {
    this.rows.note('greet');
    await this.write();
    this.rows.note('greet, later,');
  }

  @Transactional() private async write() {
    const { attempt } = currentEvent()!.delivery!;
    await this.rows.add(`greeting ${attempt}`);
    this.rows.note('write');
    if (attempt < 2) throw rollBack;
  }

  @Callback('told', { delivery: 'durable' }) async hear() {
    this.rows.note('hear');
    await this.rows.add('hearing');
  }
}

@Injectable()
class SignUp {
  constructor(
    private readonly rows: Rows,
    private readonly events: EventRunner,
  ) {}

  @Transactional()
  async add(...more: (() => Promise<unknown>)[]) {
    await this.rows.add('user');
    await this.events.run('joined');
    for (const one of more) await one();
  }

  @Transactional()
  async addFor(tenant: string) {
    await this.rows.add('user');
    await this.events.with({ headers: { tenant } }).run('joined');
  }

  @Transactional(Propagation.RequiresNew)
  async addAnew() {
    await this.add();
  }
}

@Module({ providers: [{ provide: DataSource, useValue: dataSource }], exports: [DataSource] })
class DatabaseModule {}

@Module({
  imports: [
    EventsModule.forRoot({
      engine: postgres({ connectionString, schema: `${schema}_deliveries` }),
      propagators: [clsPropagator({ keys: ['tenant'] })],
    }),
    ClsModule.forRoot({
      global: true,
      plugins: [
        new ClsPluginTransactional({
          imports: [DatabaseModule],
          adapter: withEvents(new TransactionalAdapterTypeOrm({ dataSourceToken: DataSource })),
        }),
      ],
    }),
  ],
  providers: [Rows, Reactions, SignUp],
})
class AppModule {}

const app = await NestFactory.createApplicationContext(AppModule, { logger: false });
const signUp = app.get(SignUp);
const cls: ClsService<any> = app.get(ClsService);

const SCENARIOS: Record<string, () => Promise<unknown>> = {
  commits: () => signUp.add(),
  'is rolled back': () => signUp.add(() => Promise.reject(rollBack)),
  'has another beside it': () =>
    signUp.add(
      () => cls.runWith({ ...cls.get(), tenant: 'globex' }, () => signUp.addAnew()),
      () => Promise.reject(rollBack),
    ),
  'is of a header': () => signUp.addFor('umbrella'),
};

const scenes: Record<string, Scene> = {};
for (const [name, play] of Object.entries(SCENARIOS)) {
  await cls.runWith({ tenant: 'acme' }, play).catch((error: unknown) => {
    if (error !== rollBack) throw error;
  });
  const isIdle = async () =>
    (await app.get(EventDeliveries).counts()).every(
      ({ waiting, delayed, running, dead }) => waiting + delayed + running + dead === 0,
    );
  await until(isIdle);
  const { rows } = await pool.query<{ of: string }>(`delete from ${schema}.rows returning of`);
  scenes[name] = { ran: ran.splice(0).toSorted(), rows: rows.map((row) => row.of).toSorted() };
}
await app.close();
await dataSource.destroy();
await pool.query(`drop schema ${schema} cascade; drop schema ${schema}_deliveries cascade`);
await pool.end();
console.log(JSON.stringify(scenes));
