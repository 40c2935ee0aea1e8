export { postgres } from './postgres.js';
export type { PostgresOptions } from './options.js';
export { schemaSql, upgradeSql } from './schema-sql.js';
export { lockFolder } from './connection/folder-lock.js';
