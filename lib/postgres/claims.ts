// Not the global ones, which fake timers replace.
import { clearInterval, setInterval } from 'node:timers';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EngineAttempt, SqlTransaction, StoredError } from '../index.js';
import { Batches } from './batches.js';
import type { Connection } from './connection.js';
import type { Health } from './health.js';
import { addressOf } from './queue-name.js';
import type { Statements } from './statements.js';

/** A claimed job, as pg-boss fetches it. */
export interface ClaimedJob {
  readonly id: string;
  readonly name: string;
  readonly data: {
    readonly event: string;
    readonly key?: string;
    readonly arguments: EngineAttempt['delivery']['arguments'];
    readonly uncounted?: number;
  };
  readonly retryCount: number;
}

/** Which attempt at which job: `retry_count` is another after each claim. */
interface Named {
  readonly name: string;
  readonly id: string;
  readonly attempt: number;
}

interface Verdict extends Named {
  readonly state: 'retry' | 'failed';
  readonly afterMs?: number;
  readonly output?: StoredError;
  readonly isUncounted?: boolean;
}

type Query = SqlTransaction['query'];

interface Claim {
  readonly job: ClaimedJob;
  readonly abort: AbortController;
  /** When it was last sure to be held. */
  renewedAt: number;
}

const PAUSE_MS = 250;
/** How long it is tried to say how an attempt ended, while the database is away. */
const PATIENCE_MS = 120_000;
const QUERY_TIMEOUT_MS = 5_000;

/** The deliveries that this instance performs: renews its claims on them, and writes down how they ended. */
export class Claims {
  private readonly held = new Set<Claim>();
  private readonly query: Query;
  private readonly completions: Batches<Named, boolean>;
  private readonly verdicts: Batches<Verdict, boolean>;
  private readonly renewal: NodeJS.Timeout;
  private isRenewing = false;
  private hasStopped = false;

  constructor(
    private readonly connection: Connection,
    private readonly statements: Statements,
    channel: string,
    private readonly leaseMs: number,
    private readonly health: Health,
    /** Is told when a delivery of a queue will be due again. */
    private readonly onRetry: (queue: string, afterMs: number) => void,
  ) {
    this.query = (sql, params) => connection.query(sql, params, QUERY_TIMEOUT_MS);
    this.completions = new Batches((attempts) => ofEach(attempts, this.query, statements.complete));
    this.verdicts = new Batches((verdicts) =>
      ofEach(verdicts, this.query, statements.settle, (some) => [JSON.stringify(some), channel]),
    );
    this.renewal = setInterval(() => {
      this.expire();
      void this.renew();
    }, leaseMs / 4).unref();
  }

  /** What is performed of a claimed job. */
  attemptAt(job: ClaimedJob, onThrough = () => {}): EngineAttempt {
    const claim: Claim = { job, abort: new AbortController(), renewedAt: performance.now() };
    this.held.add(claim);
    const { id, name, retryCount, data } = job;
    const { callback } = addressOf(name)!;
    const { event, key, arguments: args } = data;
    const named = { name, id, attempt: retryCount };
    const settle = (rest: Omit<Verdict, keyof Named>) =>
      this.settle(claim, () => this.verdicts.add({ ...named, ...rest }));
    return {
      delivery: { event, callback, id, ...(key !== undefined && { key }), arguments: args },
      attempt: retryCount + 1 - (data.uncounted ?? 0),
      signal: claim.abort.signal,
      complete: () => {
        onThrough();
        return this.settle(claim, () => this.completions.add(named));
      },
      retryIn: async (afterMs, output) => {
        const hasHeld = await settle({ state: 'retry', afterMs, output });
        if (hasHeld) this.onRetry(name, afterMs);
        return hasHeld;
      },
      bury: (output) => settle({ state: 'failed', output }),
      release: () => settle({ state: 'retry', afterMs: 0, isUncounted: true }),
      completeIn: async (transaction) => {
        const { rows } = await transaction.query(this.statements.completeInTransaction, [name, id, retryCount]);
        if (rows.length === 0) {
          throw new Error(
            `The claim on delivery ${id} to ${callback} has run out, and another instance may have taken it. ` +
              'Let this error roll the transaction back.',
          );
        }
      },
    };
  }

  stop(): void {
    this.hasStopped = true;
    clearInterval(this.renewal);
  }

  private async settle(claim: Claim, write: () => Promise<boolean>): Promise<boolean> {
    const startedAt = performance.now();
    for (;;) {
      try {
        const hasHeld = await write();
        this.held.delete(claim);
        return hasHeld;
      } catch (error) {
        this.health.failed(error);
        if (this.hasStopped || claim.abort.signal.aborted || performance.now() - startedAt > PATIENCE_MS) {
          this.held.delete(claim);
          throw error;
        }
        await sleep(PAUSE_MS);
      }
    }
  }

  private async renew(): Promise<void> {
    if (this.isRenewing || this.held.size === 0) return;
    this.isRenewing = true;
    const sentAt = performance.now();
    const claims = [...this.held];
    try {
      const named = claims.map(({ job }) => ({ name: job.name, id: job.id, attempt: job.retryCount }));
      const areRenewed = await ofEach(named, this.query, this.statements.renew);
      claims.forEach((claim, index) => {
        if (areRenewed[index]) claim.renewedAt = sentAt;
        else this.lose(claim, 'has been taken by another instance');
      });
    } catch (error) {
      this.health.failed(error);
    } finally {
      this.isRenewing = false;
    }
  }

  /** What could not be renewed in time counts as lost, unless there is nobody who could take it. */
  private expire(): void {
    if (this.connection.isEmbedded) return;
    for (const claim of this.held) {
      if (performance.now() - claim.renewedAt > this.leaseMs) this.lose(claim, 'could not be renewed');
    }
  }

  /** It may have been settled in the meantime: then nobody listens any more. */
  private lose(claim: Claim, what: string): void {
    if (!this.held.has(claim)) return;
    const { id, name } = claim.job;
    claim.abort.abort(new Error(`The claim on delivery ${id} in ${name} ${what}, so it may be performed elsewhere`));
  }
}

/** Of each attempt, whether a statement has found that it holds its claim: one statement a queue. */
async function ofEach<T extends Named>(
  attempts: readonly T[],
  query: Query,
  statement: string,
  moreParams: (attempts: readonly T[]) => unknown[] = () => [],
): Promise<boolean[]> {
  const held = new Set<string>();
  for (const name of new Set(attempts.map((attempt) => attempt.name))) {
    const some = attempts.filter((attempt) => attempt.name === name);
    const ids = some.map(({ id }) => id);
    const numbered = some.map(({ id, attempt }) => `${id} ${attempt}`);
    const { rows } = await query(statement, [name, ids, numbered, ...moreParams(some)]);
    for (const { id } of rows as Named[]) held.add(`${name} ${id}`);
  }
  return attempts.map(({ name, id }) => held.has(`${name} ${id}`));
}
