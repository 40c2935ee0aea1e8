import { importBoss } from './import-boss.js';
import { ownSchema } from './statements/own-schema.js';

/**
 * Writes the SQL that makes the schema for `postgres({ migrate: false })`. Somebody who may is to run it.
 *
 * @param schema as in `postgres({ schema })`
 * @example
 * console.log(await schemaSql());
 */
export async function schemaSql(schema = 'nestjs_callbacks'): Promise<string> {
  const { getConstructionPlans } = await importBoss();
  const own = ownSchema(schema);
  return `${getConstructionPlans(schema)}\n${own.sql}${own.groupIndex}`;
}

/**
 * Writes the SQL that brings a schema up to date that `schemaSql()` of an older version has made. Nothing is stopped by it, and
 * running it again changes nothing.
 *
 * @param schema as in `postgres({ schema })`
 */
export const upgradeSql = (schema = 'nestjs_callbacks'): string => ownSchema(schema).sql;
