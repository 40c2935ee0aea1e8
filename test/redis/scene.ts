import { afterAll, afterEach, beforeAll, beforeEach } from '@jest/globals';
import { Redis } from 'ioredis';
import type { EventsOptions } from 'nestjs-callbacks';
import { redis, type RedisOptions } from 'nestjs-callbacks/redis';
import { closeApps, until } from '../support/app.js';

/** A client of a server, and for each test a prefix of its own. */
export class Scene {
  client!: Redis;
  /** Of the test that runs. */
  prefix = '';
  private prefixes = 0;

  constructor(private readonly url: string) {}

  /** Options of ioredis for its server. */
  get connection(): { host: string; port: number } {
    const { hostname: host, port } = new URL(this.url);
    return { host, port: Number(port || 6379) };
  }

  /** Options that name this test's prefix. */
  get place(): RedisOptions {
    return { url: this.url, prefix: this.prefix };
  }

  /** The same for an application. */
  options(more: RedisOptions = {}, others: EventsOptions = {}): EventsOptions {
    return { engine: redis({ ...this.place, ...more }), ...others };
  }

  connect(): void {
    this.client = new Redis(this.url);
  }

  begin(): void {
    this.prefix = `{specs-${process.pid}-${++this.prefixes}}`;
  }

  async end(): Promise<void> {
    const keys = await this.client.keys(`${this.prefix}:*`);
    if (keys.length > 0) await this.client.del(keys);
  }
}

/** A scene for the tests of a `describe`. */
export function sceneOn(url: string): Scene {
  const scene = new Scene(url);
  // Of a describe that is skipped, nothing is opened.
  beforeAll(() => scene.connect());
  beforeEach(() => scene.begin());
  afterEach(async () => {
    await closeApps();
    await scene.end();
  });
  afterAll(() => scene.client.disconnect());
  return scene;
}

/** Resolves when a claim was renewed so many times, as its lock shows: it has longer to live than it had before. */
export async function renewed(client: Redis, lock: string, times: number): Promise<void> {
  let [renewals, before] = [0, Infinity];
  await until(async () => {
    const left = await client.pttl(lock);
    if (left > before) renewals++;
    before = left;
    return renewals >= times;
  });
}
