import type { EngineHost } from '../engine/index.js';
import type { Connection } from './connection/connection.js';
import type { CompleteOptions } from './options.js';
import { type OwnSchema, ownSchema } from './statements/own-schema.js';

const BOOT_TIMEOUT_MS = 30_000;

/** What of ours is there in the schema, and may be used. */
export interface OpenedSchema extends Partial<
  Pick<OwnSchema, 'instances' | 'marks' | 'limits' | 'pauses' | 'cheaper'>
> {
  /** Whether this role may pause, and not only see what is paused. */
  readonly mayPause: boolean;
}

interface Found {
  readonly isThere: boolean;
  readonly hasMarks: boolean;
  readonly hasLimits: boolean;
  readonly seesPauses: boolean;
  readonly mayPause: boolean;
}

/** Makes what is ours in the schema, if this engine may. Resolves to what is there. */
export async function openOwnSchema(
  connection: Connection,
  { schema, migrate }: CompleteOptions,
  host: EngineHost,
): Promise<OpenedSchema> {
  const own = ownSchema(schema);
  if (migrate) {
    await connection.query(own.sql, undefined, BOOT_TIMEOUT_MS);
    return { ...own, mayPause: true };
  }
  const { rows } = await connection.query(own.isThere, [], BOOT_TIMEOUT_MS);
  const [found] = rows as Found[];
  const prices = pricesOf(found);
  if (prices.length > 0) {
    host.warn(
      `The schema "${schema}" lacks what this version of nestjs-callbacks keeps there, or this role may not use it. It works; ${prices.join(', and ')}. ` +
        `Run what upgradeSql('${schema}') returns, grant the role what lib/postgres/README.md says on its tables and functions, and start again.`,
    );
  }
  const { isThere, hasMarks, hasLimits, seesPauses, mayPause } = found;
  return {
    ...(isThere && { instances: own.instances, cheaper: own.cheaper }),
    ...(isThere && hasMarks && { marks: own.marks }),
    ...(isThere && hasLimits && { limits: own.limits }),
    ...(seesPauses && { pauses: own.pauses }),
    mayPause,
  };
}

/** What is worse for what is missing. */
function pricesOf({ isThere, hasMarks, hasLimits, seesPauses, mayPause }: Found): string[] {
  const prices: string[] = [];
  if (!isThere)
    prices.push('each instance looks for all deliveries by itself', 'the database plans each statement each time');
  else if (!hasMarks) prices.push('what remote names is not compared with what other applications have');
  if (!isThere || !hasLimits) prices.push('callbacks with limits are refused');
  if (!seesPauses) prices.push('this instance heeds no pause, and pauses nothing');
  else if (!mayPause) prices.push('this instance pauses nothing');
  return prices;
}
