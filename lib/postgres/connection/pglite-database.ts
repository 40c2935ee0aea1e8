/** The part of `PGlite` that the engine uses. */
export interface PGliteDatabase {
  /** Where its files are. */
  readonly dataDir?: string;
  query(sql: string, params?: any[], options?: any): Promise<{ rows: any[] }>;
  exec(sql: string, options?: any): Promise<{ rows: any[] }[]>;
  transaction(work: (transaction: any) => Promise<any>): Promise<any>;
  listen(channel: string, onNotification: (payload: string) => void): Promise<(...args: any[]) => Promise<void>>;
}
