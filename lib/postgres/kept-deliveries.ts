import type {
  DeliveryCounts,
  DeliveryFilter,
  DeliveryQuery,
  DeliveryState,
  KeptDelivery,
  StoredError,
} from '../engine/index.js';
import type { Connection, QueryResult } from './connection/connection.js';
import { addressOf, queueName } from './queue-name.js';
import type { Statements } from './statements/statements.js';

const STATE_OF: Readonly<Record<string, DeliveryState>> = {
  created: 'waiting',
  retry: 'waiting',
  active: 'running',
  failed: 'dead',
};

/** For looking through all that there is, and never for ever. */
const QUERY_TIMEOUT_MS = 30_000;

interface Row {
  readonly id: string;
  readonly name: string;
  readonly key: string | null;
  readonly data: { readonly arguments: KeptDelivery['arguments'] };
  readonly output: StoredError | { readonly value?: { readonly message?: unknown } } | null;
  readonly storedAt: number;
  readonly state: string;
  readonly attempts: number;
  readonly since: number;
}

/** pg-boss writes something else when it takes back a claim itself. */
const errorOf = (output: NonNullable<Row['output']>): StoredError =>
  'message' in output ? output : { name: 'Error', message: String(output.value?.message) };

/** Looks into the deliveries that are kept, and changes what is to become of them. */
export class KeptDeliveries {
  private readonly query: (sql: string, params?: unknown[]) => Promise<QueryResult>;

  constructor(
    connection: Connection,
    private readonly statements: Statements,
    private readonly channel: string,
  ) {
    this.query = (sql, params) => connection.query(sql, params, QUERY_TIMEOUT_MS);
  }

  async counts(): Promise<DeliveryCounts[]> {
    const { rows } = await this.query(this.statements.counts);
    const counts = new Map<string, { -readonly [Field in keyof DeliveryCounts]: DeliveryCounts[Field] }>();
    for (const { name, ...found } of rows as ({ name: string } & Omit<DeliveryCounts, 'event' | 'callback'>)[]) {
      const address = addressOf(name);
      if (!address) continue;
      // A callback that was not ordered before, or was, has two queues for a while.
      const key = queueName(address, false);
      const { event, callback } = address;
      const count = counts.get(key) ?? { event, callback, waiting: 0, delayed: 0, running: 0, dead: 0 };
      counts.set(key, count);
      for (const field of ['waiting', 'delayed', 'running', 'dead'] as const) count[field] += found[field];
    }
    return [...counts.values()];
  }

  async list({ states, limit, after, ...filter }: DeliveryQuery): Promise<KeptDelivery[]> {
    const { rows } = await this.query(this.statements.list, [
      ...(await this.paramsFor(filter)),
      JSON.stringify(Object.keys(STATE_OF).filter((state) => states.includes(STATE_OF[state]))),
      after?.id ?? null,
      after ? queueName(after, false) : null,
      limit,
    ]);
    return (rows as Row[]).map(({ id, name, key, data, output, storedAt, state, attempts, since }) => {
      const { event, callback } = addressOf(name)!;
      return {
        event,
        callback,
        id,
        ...(key !== null && { key }),
        arguments: data.arguments,
        state: STATE_OF[state],
        attempts,
        storedAt: new Date(storedAt),
        since: new Date(since),
        ...(output && { error: errorOf(output) }),
      };
    });
  }

  retry(filter: DeliveryFilter): Promise<number> {
    return this.change(this.statements.retry, filter);
  }

  discard(filter: DeliveryFilter): Promise<number> {
    return this.change(this.statements.discard, filter);
  }

  private async change(statement: string, filter: DeliveryFilter): Promise<number> {
    const { rows } = await this.query(statement, [...(await this.paramsFor(filter)), this.channel]);
    return (rows[0] as { count: number }).count;
  }

  private async paramsFor({ event, callback, ids }: DeliveryFilter): Promise<(string | null)[]> {
    const { rows } = await this.query(this.statements.queues);
    const names = (rows as { name: string }[]).map(({ name }) => name);
    const matching = names.filter((name) => {
      const address = addressOf(name);
      return (
        address &&
        (event === undefined || address.event === event) &&
        (callback === undefined || address.callback === callback)
      );
    });
    return [JSON.stringify(matching), ids ? JSON.stringify(ids) : null];
  }
}
