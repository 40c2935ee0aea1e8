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
  readonly data: { event: string; arguments: EngineAttempt['delivery']['arguments']; uncounted?: number };
  readonly retryCount: number;
  readonly singletonKey: string | null;
  readonly createdOn: Date;
}

interface Verdict {
  readonly name: string;
  readonly id: string;
  readonly attempt: number;
  readonly state: 'completed' | 'retry' | 'failed';
  readonly afterMs?: number;
  readonly output?: StoredError;
  readonly isUncounted?: boolean;
}

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
  private readonly verdicts: Batches<Verdict, boolean>;
  private readonly renewal: NodeJS.Timeout;
  private isRenewing = false;
  private hasStopped = false;

  constructor(
    private readonly connection: Connection,
    private readonly statements: Statements,
    private readonly channel: string,
    private readonly leaseMs: number,
    private readonly health: Health,
    /** Is told when a delivery of a queue will be due again. */
    private readonly onRetry: (queue: string, afterMs: number) => void,
  ) {
    this.verdicts = new Batches((verdicts) =>
      this.write(verdicts, (sql, params) => this.connection.query(sql, params, QUERY_TIMEOUT_MS)),
    );
    this.renewal = setInterval(() => {
      this.expire();
      void this.renew();
    }, leaseMs / 4).unref();
  }

  /** What is performed of a claimed job. */
  attemptAt(job: ClaimedJob): EngineAttempt {
    const claim: Claim = { job, abort: new AbortController(), renewedAt: performance.now() };
    this.held.add(claim);
    const { id, name, retryCount, singletonKey, createdOn, data } = job;
    const { event, callback } = addressOf(name)!;
    const verdict = { name, id, attempt: retryCount };
    const settle = (rest: Omit<Verdict, keyof typeof verdict>) => this.settle(claim, { ...verdict, ...rest });
    return {
      delivery: { event, callback, id, ...(singletonKey !== null && { key: singletonKey }), arguments: data.arguments },
      attempt: retryCount + 1 - (data.uncounted ?? 0),
      storedAt: createdOn,
      signal: claim.abort.signal,
      complete: () => settle({ state: 'completed' }),
      retryIn: async (afterMs, output) => {
        const hasHeld = await settle({ state: 'retry', afterMs, output });
        if (hasHeld) this.onRetry(name, afterMs);
        return hasHeld;
      },
      bury: (output) => settle({ state: 'failed', output }),
      release: () => settle({ state: 'retry', afterMs: 0, isUncounted: true }),
      completeIn: async (transaction) => {
        const query = (sql: string, params: unknown[]) => transaction.query(sql, params);
        const [hasHeld] = await this.write([{ ...verdict, state: 'completed' }], query);
        if (!hasHeld) {
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

  private async settle(claim: Claim, verdict: Verdict): Promise<boolean> {
    const startedAt = performance.now();
    for (;;) {
      try {
        const hasHeld = await this.verdicts.add(verdict);
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

  private async write(verdicts: readonly Verdict[], query: SqlTransaction['query']): Promise<boolean[]> {
    const { rows } = await query(this.statements.settle, [JSON.stringify(verdicts), this.channel]);
    const settled = new Set((rows as { name: string; id: string }[]).map(keyOf));
    return verdicts.map((verdict) => settled.has(keyOf(verdict)));
  }

  private async renew(): Promise<void> {
    if (this.isRenewing || this.held.size === 0) return;
    this.isRenewing = true;
    const sentAt = performance.now();
    const claims = [...this.held];
    try {
      const named = claims.map(({ job }) => ({ name: job.name, id: job.id, attempt: job.retryCount }));
      const { rows } = await this.connection.query(this.statements.renew, [JSON.stringify(named)], QUERY_TIMEOUT_MS);
      const renewed = new Set((rows as { name: string; id: string }[]).map(keyOf));
      for (const claim of claims) {
        if (renewed.has(keyOf(claim.job))) claim.renewedAt = sentAt;
        else this.lose(claim, 'has been taken by another instance');
      }
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

const keyOf = ({ name, id }: { name: string; id: string }) => `${name} ${id}`;
