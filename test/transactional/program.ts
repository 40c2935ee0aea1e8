/**
 * An application on `@nestjs-cls/transactional`, in a process of its own: those packages are CommonJS, and Jest cannot load
 * what they require of Nest. Prints what became of each scenario, as JSON.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable, Module, type ModuleMetadata } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  ClsPluginTransactional,
  Propagation,
  Transactional,
  type TransactionalAdapter,
  TransactionHost,
} from '@nestjs-cls/transactional';
import { TransactionalAdapterDrizzleOrm } from '@nestjs-cls/transactional-adapter-drizzle-orm';
import { TransactionalAdapterTypeOrm } from '@nestjs-cls/transactional-adapter-typeorm';
import { sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import { ClsModule } from 'nestjs-cls';
import { Callback, currentEvent, EventDeliveries, EventRunner, EventsModule } from 'nestjs-callbacks';
import { postgres } from 'nestjs-callbacks/postgres';
import { withEvents } from 'nestjs-callbacks/transactional';
import pg from 'pg';
import { DataSource, EntityManager } from 'typeorm';

/** What became of one scenario. */
export interface Scene {
  /** What the callbacks did, in order; those that wait for nobody apart. */
  readonly ran: string[];
  readonly greeted: string[];
  readonly users: string[];
  /** What the outermost call rejected with. */
  readonly error?: string;
}

const [, , layer, connectionString, schema] = process.argv;
const rollBack = new Error('rolled back');
let endBackground!: () => void;
const backgroundHasEnded = new Promise<void>((resolve) => (endBackground = resolve));

@Injectable()
class Users {
  constructor(private readonly host: TransactionHost<any>) {}

  async add(name: string) {
    const text = `insert into ${schema}.users (name) values ('${name}')`;
    const tx: any = this.host.tx;
    await (tx instanceof EntityManager ? tx.query(text) : tx.execute(sql.raw(text)));
  }

  get isInTransaction() {
    return this.host.isTransactionActive();
  }
}

@Injectable()
class Reactions {
  readonly ran: string[] = [];

  constructor(private readonly users: Users) {}

  @Callback('user_joined')
  async badge(name: string) {
    await this.users.add(`badge of ${name}`);
    this.ran.push(`badge ${name}, ${currentEvent()?.tx ? 'inside' : 'outside'}`);
  }

  @Callback('user_joined', { optional: true })
  async count(name: string) {
    if (name !== 'Nobody') return;
    await this.users.add('undone');
    await this.users.add('undone');
  }

  @Callback('later', { delivery: 'background' })
  async runMore(name: string) {
    this.ran.push(`background ${name}, ${this.users.isInTransaction ? 'inside' : 'outside'}`);
    await this.users.add(name);
    endBackground();
  }

  @Callback('user_joined', { delivery: 'durable' })
  async greet(name: string) {
    this.ran.push(`greet ${name}`);
  }

  @Callback('user_joined', { delivery: 'after-commit' })
  async announce(name: string) {
    this.ran.push(`announce ${name}, ${this.users.isInTransaction ? 'inside' : 'outside'}`);
    await this.users.add(`news of ${name}`);
  }
}

@Injectable()
class SignUp {
  constructor(
    private readonly users: Users,
    private readonly events: EventRunner,
  ) {}

  @Transactional()
  async add(name: string, ...more: (() => Promise<unknown>)[]) {
    await this.users.add(name);
    await this.events.run('user_joined', name);
    for (const one of more) await one();
  }

  @Transactional()
  async later(name: string) {
    await this.events.run('later', name);
    await backgroundHasEnded;
    throw rollBack;
  }

  @Transactional(Propagation.RequiresNew)
  async addAnew(name: string) {
    await this.add(name);
  }

  @Transactional(Propagation.Nested)
  async addWithin(name: string, fails = false) {
    await this.add(name);
    if (fails) throw rollBack;
  }

  @Transactional(Propagation.NotSupported)
  async addWithout(name: string) {
    await this.events.run('user_joined', name);
  }
}

interface Connected {
  readonly adapter: TransactionalAdapter<any, any, any>;
  readonly providers: ModuleMetadata['providers'];
  close(): Promise<unknown>;
}

const CONNECTIONS: Record<string, (url: string) => Promise<Connected>> = {
  async TypeORM(url) {
    const dataSource = await new DataSource({ type: 'postgres', url }).initialize();
    return {
      adapter: new TransactionalAdapterTypeOrm({ dataSourceToken: 'DATABASE' }),
      providers: [{ provide: 'DATABASE', useValue: dataSource }],
      close: () => dataSource.destroy(),
    };
  },
  async Drizzle(connectionString) {
    const pool = new pg.Pool({ connectionString });
    return {
      adapter: new TransactionalAdapterDrizzleOrm({ drizzleInstanceToken: 'DATABASE' }),
      providers: [{ provide: 'DATABASE', useValue: drizzle(pool) }],
      close: () => pool.end(),
    };
  },
};

/** Of the adapter itself. */
function adapterAsItIs() {
  class Adapter implements TransactionalAdapter<string, object, object> {
    readonly connectionToken = 'DATABASE';
    private readonly started: string[] = [];
    optionsFactory = (connection: string) => ({
      wrapWithTransaction: async () => `${connection} opened`,
      getFallbackInstance: () => ({ connection }),
    });
    onModuleInit() {
      this.started.push('yes');
      return this.started;
    }
  }
  const adapter = withEvents(new Adapter());
  const options = adapter.optionsFactory('a database');
  return {
    isInstance: adapter instanceof Adapter,
    token: adapter.connectionToken,
    started: adapter.onModuleInit(),
    fallback: options.getFallbackInstance(),
    nests: 'wrapWithNestedTransaction' in options,
  };
}

const pool = new pg.Pool({ connectionString });
await pool.query(`create schema ${schema}; create table ${schema}.users (name text primary key)`);
const connected = await CONNECTIONS[layer](connectionString);
const { adapter, providers = [] } = connected;

@Module({ providers, exports: ['DATABASE'] })
class DatabaseModule {}

@Module({
  imports: [
    EventsModule.forRoot({ engine: postgres({ connectionString, schema: `${schema}_deliveries` }) }),
    ClsModule.forRoot({
      plugins: [new ClsPluginTransactional({ imports: [DatabaseModule], adapter: withEvents(adapter) })],
    }),
  ],
  providers: [Users, Reactions, SignUp],
})
class AppModule {}

const app = await NestFactory.createApplicationContext(AppModule, { logger: false });
const signUp = app.get(SignUp);

const SCENARIOS: Record<string, () => Promise<unknown>> = {
  commits: () => signUp.add('Ada'),
  'is rolled back': () => signUp.add('Ada', () => Promise.reject(rollBack)),
  'optional fails': () => signUp.add('Nobody'),
  'background callbacks': () => signUp.later('Ada'),
  propagates: () =>
    signUp.add(
      'Ada',
      () => signUp.addAnew('Beside'),
      () => signUp.addWithin('Within'),
      () => signUp.addWithout('Without'),
      () => Promise.reject(rollBack),
    ),
  'a part is rolled back': () => signUp.add('Ada', () => signUp.addWithin('Within', true).catch(() => {})),
};

const scenes: Record<string, Scene> = {};
for (const [name, play] of Object.entries(SCENARIOS)) {
  const { ran } = app.get(Reactions);
  const error: unknown = await play().then(
    () => undefined,
    (reason: unknown) => reason,
  );
  for (;;) {
    const counts = await app.get(EventDeliveries).counts();
    if (counts.every(({ waiting, running }) => waiting + running === 0)) break;
    await sleep(5);
  }
  const { rows } = await pool.query<{ name: string }>(`select name from ${schema}.users order by name`);
  const isGreeting = (line: string) => line.startsWith('greet');
  scenes[name] = {
    ran: ran.filter((line) => !isGreeting(line)),
    greeted: ran.filter(isGreeting).toSorted(),
    users: rows.map((row) => row.name),
    ...(error !== undefined && { error: (error as Error).message }),
  };
  ran.length = 0;
  await pool.query(`delete from ${schema}.users`);
}
await app.close();
await connected.close();
await pool.query(`drop schema ${schema} cascade; drop schema ${schema}_deliveries cascade`);
await pool.end();
console.log(JSON.stringify({ scenes, adapter: adapterAsItIs() }));
