/**
 * The part of an open SQL transaction that an engine needs. Clients of node-postgres and transactions of PGlite have it.
 */
export interface SqlTransaction {
  query(sql: string, params: unknown[]): Promise<{ rows: unknown[] }>;
}
