import pg from 'pg';

/** One statement that was sent, and what Postgres does for it. */
export interface Explained {
  readonly sql: string;
  /** How many rows or entries of indexes are read of the deliveries. */
  readonly read: number;
  /** How many pages of tables and indexes are looked at. */
  readonly buffers: number;
  /** How the deliveries are read: `'Index Only Scan of job_common_i14'`. */
  readonly scans: readonly string[];
}

interface Plan {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Index Name'?: string;
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly 'Shared Hit Blocks': number;
  readonly 'Shared Read Blocks': number;
  readonly Plans?: readonly Plan[];
}

/** A pool that writes down which statements about deliveries are sent through it. */
export class WatchedPool extends pg.Pool {
  private sent: { readonly sql: string; readonly params: unknown[] }[] = [];

  constructor(connectionString: string) {
    const note = (sql: unknown, params: unknown) => this.note(sql, params);
    class Client extends pg.Client {
      override query(...args: any[]): any {
        note(args[0].text, args[1]);
        return (super.query as (...args: any[]) => unknown)(...args);
      }
    }
    super({ connectionString, max: 4, Client });
  }

  /** Does something, and has Postgres explain the statements of that. They are carried out again, and undone. */
  async explained(work: () => Promise<unknown>): Promise<Explained[]> {
    this.sent = [];
    await work();
    const explained: Explained[] = [];
    const client = await this.connect();
    for (const { sql, params } of this.sent.splice(0)) {
      await client.query('begin');
      const { rows } = await client.query(`explain (analyze, buffers, format json) ${sql}`, params);
      await client.query('rollback');
      explained.push(summaryOf(sql, rows[0]['QUERY PLAN'][0].Plan));
    }
    client.release();
    return explained;
  }

  private note(sql: unknown, params: unknown): void {
    if (typeof sql === 'string' && sql.includes('job_common') && Array.isArray(params)) this.sent.push({ sql, params });
  }
}

function summaryOf(sql: string, root: Plan): Explained {
  const nodes = nodesOf(root).filter((node) => node['Actual Loops'] > 0);
  const scans = nodes.filter((node) => node['Relation Name'] === 'job_common' && node['Node Type'].endsWith('Scan'));
  const rowsOf = (scan: Plan) => scan['Actual Loops'] * (scan['Actual Rows'] + (scan['Rows Removed by Filter'] ?? 0));
  return {
    sql,
    read: scans.reduce((sum, scan) => sum + rowsOf(scan), 0),
    buffers: root['Shared Hit Blocks'] + root['Shared Read Blocks'],
    scans: [...new Set(scans.map((scan) => `${scan['Node Type']} of ${scan['Index Name']}`))],
  };
}

const nodesOf = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];
