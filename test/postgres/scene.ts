import { afterAll, afterEach, beforeAll, beforeEach } from '@jest/globals';
import type { EventsOptions } from 'nestjs-callbacks';
import type { DurableCallback, DurableEngine, NewDelivery } from 'nestjs-callbacks/engine';
import { postgres, type PostgresOptions } from 'nestjs-callbacks/postgres';
import pg from 'pg';
import { uuidv7 } from 'uuidv7';
import { inPgTransaction } from '../support/pg-transaction.js';
import { closeApps } from '../support/app.js';

export const callbackOf = (options: Partial<DurableCallback> = {}): DurableCallback => ({
  event: 'x',
  callback: 'A.a',
  formerly: [],
  isOrdered: false,
  concurrency: 10,
  ...options,
});

export const deliveryOf = (options: Partial<NewDelivery> = {}): NewDelivery => ({
  event: 'x',
  callback: 'A.a',
  id: uuidv7(),
  arguments: [],
  delayMs: 0,
  ...options,
});

/** The SQL of a query, in any of the ways in which node-postgres takes it. */
export const textOf = (query: unknown): string =>
  typeof query === 'string' ? query : String((query as { text?: unknown } | undefined)?.text);

/** A pool on a server, and for each test a schema of its own. */
export class Scene {
  pool!: pg.Pool;
  /** Of the test that runs. */
  schema = '';
  private schemas = 0;
  private readonly engines: DurableEngine[] = [];

  constructor(private readonly connectionString: string) {}

  /** Options that name this test's schema. */
  get place(): PostgresOptions {
    return { pool: this.pool, schema: this.schema };
  }

  /** The same, with connections of the engine's own. */
  get placeByUrl(): PostgresOptions {
    return { connectionString: this.connectionString, schema: this.schema };
  }

  /** The same for an application. */
  options(more: PostgresOptions = {}, others: EventsOptions = {}): EventsOptions {
    return { engine: postgres({ ...this.place, ...more }), ...others };
  }

  connect(): void {
    this.pool = new pg.Pool({ connectionString: this.connectionString, max: 8 });
  }

  begin(): void {
    this.schema = `specs_${process.pid}_${++this.schemas}`;
  }

  async end(): Promise<void> {
    for (const engine of this.engines.splice(0)) await engine.stop();
    await this.drop();
  }

  /** What a session was doing that an engine has given up holds locks, in another order than this asks for them. */
  private async drop(): Promise<void> {
    await this.pool.query(`drop schema if exists ${this.schema} cascade`).catch((error: { code?: string }) => {
      if (error.code !== '40P01') throw error;
      return this.drop();
    });
  }

  /** An instance without an application around it. */
  async open(callbacks: DurableCallback[], options: PostgresOptions = {}): Promise<DurableEngine> {
    const engine = postgres({ ...this.place, ...options })();
    this.engines.push(engine);
    await engine.start({ instance: 'here', log() {}, warn() {}, report() {} });
    await engine.declare(callbacks);
    return engine;
  }

  inTransaction(work: (client: pg.PoolClient) => Promise<void>): Promise<void> {
    return inPgTransaction(this.pool, work);
  }
}

/** A scene for the tests of a `describe`. */
export function sceneOn(connectionString: string): Scene {
  const scene = new Scene(connectionString);
  // Of a describe that is skipped, nothing is opened.
  beforeAll(() => scene.connect());
  beforeEach(() => scene.begin());
  afterEach(async () => {
    await closeApps();
    await scene.end();
  });
  afterAll(() => scene.pool.end());
  return scene;
}
