import type { DeliveryCounts, DeliveryFilter, DeliveryQuery, DeliveryState, KeptDelivery } from '../index.js';
import type { Connection } from './connection.js';
import { addressOf, queueName } from './queue-name.js';
import type { Statements } from './statements.js';

const STATES: Record<DeliveryState, readonly string[]> = {
  waiting: ['created', 'retry'],
  running: ['active'],
  dead: ['failed'],
};

interface Row {
  readonly id: string;
  readonly name: string;
  readonly key: string | null;
  readonly data: { readonly arguments: KeptDelivery['arguments'] };
  readonly output: KeptDelivery['error'] | null;
  readonly storedAt: Date;
  readonly attempts: number;
  readonly since: Date;
}

/** Looks into the deliveries that are kept, and changes what is to become of them. */
export class KeptDeliveries {
  constructor(
    private readonly connection: Connection,
    private readonly statements: Statements,
    private readonly channel: string,
  ) {}

  async counts(): Promise<DeliveryCounts[]> {
    const { rows } = await this.connection.query(this.statements.counts);
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

  async list({ state, limit, after, ...filter }: DeliveryQuery): Promise<KeptDelivery[]> {
    const { rows } = await this.connection.query(this.statements.list, [
      ...(await this.paramsFor(filter)),
      JSON.stringify(STATES[state]),
      after?.id ?? null,
      after ? queueName(after, false) : null,
      limit,
    ]);
    return (rows as Row[]).map(({ id, name, key, data, output, storedAt, attempts, since }) => {
      const { event, callback } = addressOf(name)!;
      return {
        event,
        callback,
        id,
        ...(key !== null && { key }),
        arguments: data.arguments,
        state,
        attempts,
        storedAt,
        since,
        ...(output && { error: output }),
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
    const { rows } = await this.connection.query(statement, [...(await this.paramsFor(filter)), this.channel]);
    return (rows[0] as { count: number }).count;
  }

  private async paramsFor({ event, callback, ids }: DeliveryFilter): Promise<(string | null)[]> {
    const { rows } = await this.connection.query(this.statements.queues);
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
