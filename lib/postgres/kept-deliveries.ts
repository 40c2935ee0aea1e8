import {
  countsByAddress,
  type DeliveryCounts,
  type DeliveryFilter,
  type DeliveryQuery,
  type DeliveryState,
  fits,
  type KeptDelivery,
  type StoredError,
} from '../engine/index.js';
import type { Connection } from './connection/connection.js';
import { addressOf, queueName, requireAddress } from './queue-name.js';
import type { Statements } from './statements/statements.js';

/** pg-boss' states, and what they mean. */
const STATE_OF: Readonly<Record<string, DeliveryState>> = {
  created: 'waiting',
  retry: 'waiting',
  active: 'running',
  failed: 'dead',
};

/** Enough for looking through all deliveries that there are. */
const QUERY_TIMEOUT_MS = 30_000;

/** How many deliveries a queue has. */
type CountsRow = Omit<DeliveryCounts, 'event' | 'callback'> & { readonly name: string };

/** A delivery, as it lies in the database. */
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

/** Reads what the last attempt failed with. pg-boss writes something else than we do when it takes back a claim itself. */
const errorOf = (output: NonNullable<Row['output']>): StoredError =>
  'message' in output ? output : { name: 'Error', message: String(output.value?.message) };

/** Looks into the deliveries that are kept, and retries or discards them. */
export class KeptDeliveries {
  constructor(
    private readonly connection: Connection,
    private readonly statements: Statements,
    private readonly channel: string,
  ) {}

  async counts(): Promise<DeliveryCounts[]> {
    const rows = await this.query<CountsRow>(this.statements.counts);
    // A callback that has become ordered, or has ceased to be, has two queues for a while.
    return countsByAddress(
      rows.flatMap(({ name, ...counts }) => {
        const address = addressOf(name);
        return address ? [{ ...address, ...counts }] : [];
      }),
    );
  }

  async list({ states, limit, after, ...filter }: DeliveryQuery): Promise<KeptDelivery[]> {
    const rows = await this.query<Row>(this.statements.list, [
      ...(await this.paramsFor(filter)),
      JSON.stringify(Object.keys(STATE_OF).filter((state) => states.includes(STATE_OF[state]))),
      after?.id ?? null,
      after ? queueName(after, false) : null,
      limit,
    ]);
    return rows.map(keptOf);
  }

  retry(filter: DeliveryFilter): Promise<number> {
    return this.change(this.statements.retry, filter);
  }

  discard(filter: DeliveryFilter): Promise<number> {
    return this.change(this.statements.discard, filter);
  }

  private async change(statement: string, filter: DeliveryFilter): Promise<number> {
    const params = [...(await this.paramsFor(filter)), this.channel];
    const [{ count }] = await this.query<{ count: number }>(statement, params);
    return count;
  }

  /** Says which queues and which ids a filter means: the first two parameters of the statements. */
  private async paramsFor({ ids, ...filter }: DeliveryFilter): Promise<(string | null)[]> {
    const rows = await this.query<{ name: string }>(this.statements.queues);
    const names = rows.flatMap(({ name }) => {
      const address = addressOf(name);
      return address && fits(address, filter) ? [name] : [];
    });
    return [JSON.stringify(names), ids ? JSON.stringify(ids) : null];
  }

  private async query<Found>(statement: string, params: unknown[] = []): Promise<Found[]> {
    const { rows } = await this.connection.query(statement, params, QUERY_TIMEOUT_MS);
    return rows;
  }
}

function keptOf({ id, name, key, data, output, storedAt, state, attempts, since }: Row): KeptDelivery {
  const { event, callback } = requireAddress(name);
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
}
