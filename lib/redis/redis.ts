import type { EngineFactory } from '../engine/index.js';
import { completeOptions, type RedisOptions } from './options.js';
import { RedisEngine } from './redis-engine.js';

/**
 * Keeps durable deliveries on a Redis server, for those who have no Postgres. The engine is BullMQ: install `bullmq` and
 * `ioredis`.
 *
 * @example
 * EventsModule.forRoot({ engine: redis({ url: process.env.REDIS_URL }) })
 */
export function redis(options: RedisOptions): EngineFactory {
  return () => new RedisEngine(completeOptions(options));
}
