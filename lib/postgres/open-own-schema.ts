import type { EngineHost } from '../engine/index.js';
import type { Connection } from './connection/connection.js';
import type { CompleteOptions } from './options.js';
import { type OwnSchema, ownSchema } from './statements/own-schema.js';

const BOOT_TIMEOUT_MS = 30_000;

/** Makes what is ours in the schema, if this engine may. Resolves to it, if it is there. */
export async function openOwnSchema(
  connection: Connection,
  { schema, migrate }: CompleteOptions,
  host: EngineHost,
): Promise<OwnSchema | undefined> {
  const own = ownSchema(schema);
  if (migrate) {
    await connection.query(own.sql, undefined, BOOT_TIMEOUT_MS);
    return own;
  }
  const { rows } = await connection.query(own.isThere, [], BOOT_TIMEOUT_MS);
  const [{ isThere, hasMarks, hasLimits }] = rows as { isThere: boolean; hasMarks: boolean; hasLimits: boolean }[];
  if (!isThere || !hasMarks || !hasLimits) {
    const price = isThere
      ? missing(hasMarks, hasLimits)
      : 'each instance looks for all deliveries by itself, and the database plans each statement each time';
    host.warn(
      `The schema "${schema}" lacks what this version of nestjs-callbacks keeps there, or this role may not use it. It works; ${price}. ` +
        `Run what upgradeSql('${schema}') returns, grant the role what lib/postgres/README.md says on its tables and functions, and start again.`,
    );
  }
  return isThere
    ? { ...own, marks: hasMarks ? own.marks : undefined, limits: hasLimits ? own.limits : undefined }
    : undefined;
}

const missing = (hasMarks: boolean, hasLimits: boolean) =>
  [
    hasMarks ? [] : 'what remote names is not compared with what other applications have',
    hasLimits ? [] : 'callbacks with limits are refused',
  ]
    .flat()
    .join('; ');
