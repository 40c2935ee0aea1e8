/** The part of node-postgres' `Pool` that the engine uses. */
export interface PgPool {
  /** Whether somebody is ending it, or has. It waits for the clients that are out. */
  readonly ending?: boolean;
  connect(): Promise<PgClient>;
  on(event: 'error' | 'connect' | 'remove', listener: (subject: any) => void): unknown;
  off(event: 'error' | 'connect' | 'remove', listener: (subject: any) => void): unknown;
}

/** A query without its values, as node-postgres takes it. */
export interface PgQuery {
  readonly text: string;
  /** How to read what it selects. */
  readonly types: { getTypeParser(type: number, format?: string): (text: string) => unknown };
}

/** The part of a pool's client that the engine uses. */
export interface PgClient {
  query(query: any, params?: any[]): Promise<any>;
  getTypeParser?(type: number, format?: any): (text: any) => unknown;
  on(event: string, listener: (...args: any[]) => void): unknown;
  off(event: string, listener: (...args: any[]) => void): unknown;
  end?(): Promise<void>;
  release(error?: Error | boolean): void;
}
