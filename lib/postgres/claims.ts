import {
  CompletionRefusedError,
  type EngineAttempt,
  type EngineHealth,
  type HeldClaim,
  HeldClaims,
  type SqlTransaction,
  type StoredError,
  TransactionRefusedError,
} from '../engine/index.js';
import { Batches } from './batches.js';
import type { CallerTransactions } from './caller-transactions.js';
import type { Connection } from './connection/connection.js';
import { requireAddress } from './queue-name.js';
import type { Statements } from './statements/statements.js';

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
  /** When it was asked for, by `performance.now()`. The claim is not older than that. */
  readonly claimedAt: number;
}

/** Which attempt at which job. Each claim changes the job's `retry_count`, which is the number of the attempt. */
interface Named {
  readonly name: string;
  readonly id: string;
  readonly attempt: number;
}

/** How an attempt has ended, unless the delivery is completed. */
interface Verdict extends Named {
  readonly state: 'retry' | 'failed';
  readonly afterMs?: number;
  readonly output?: StoredError;
  readonly isUncounted?: boolean;
}

type Query = SqlTransaction['query'];

/** Whether an attempt still had its claim. `'locked'` while the callback's own transaction decides that. */
type Answer = boolean | 'locked';

const QUERY_TIMEOUT_MS = 5_000;

/** The things that {@link Claims} need. */
export interface ClaimsOptions {
  readonly connection: Connection;
  readonly statements: Statements;
  readonly transactions: CallerTransactions;
  /** The channel to notify on when a delivery is due again. */
  readonly channel: string;
  readonly leaseMs: number;
  readonly health: EngineHealth;
  /** Is told when a delivery of a queue will be due again. */
  readonly onRetry: (queue: string, afterMs: number) => void;
}

/** Renews the claims on the deliveries that this instance performs, and writes down how those end. */
export class Claims {
  private readonly claims: HeldClaims<ClaimedJob>;
  private readonly completions: Batches<Named, Answer>;
  private readonly verdicts: Batches<Verdict, Answer>;

  constructor(private readonly options: ClaimsOptions) {
    const { connection, statements, channel, leaseMs, health } = options;
    const query: Query = (sql, params) => connection.query(sql, params, QUERY_TIMEOUT_MS);
    this.completions = new Batches((attempts) => ofEach(attempts, query, statements.complete));
    this.verdicts = new Batches((verdicts) =>
      ofEach(verdicts, query, statements.settle, (some) => [JSON.stringify(some), channel]),
    );
    this.claims = new HeldClaims<ClaimedJob>({
      leaseMs,
      // In an embedded database there is nobody else who could take a claim.
      expires: !connection.isEmbedded,
      health,
      renew: async (jobs) => (await ofEach(jobs.map(namedAs), query, statements.renew)).map(Boolean),
      describe: ({ id, name }) => `delivery ${id} to ${requireAddress(name).callback}`,
    });
  }

  /**
   * Names, as queue and id, the deliveries that this instance performs. It goes on with them even if their claims were
   * not renewed in time.
   */
  get names(): string[] {
    return this.claims.all.map(({ name, id }) => `${name} ${id}`);
  }

  /**
   * Makes the attempt at a claimed job, for the application to perform.
   *
   * @param onThrough is told when the callback is through, before that is written down
   */
  attemptAt(job: ClaimedJob, onThrough = () => {}): EngineAttempt & { abandon(): void } {
    const claim = this.claims.hold(job, job.claimedAt);
    const { id, name, retryCount, data } = job;
    const { callback } = requireAddress(name);
    const { event, key, arguments: args } = data;
    const settle = (rest: Omit<Verdict, keyof Named>) =>
      this.settle(claim, () => this.verdicts.add({ ...namedAs(job), ...rest }));
    return {
      delivery: { event, callback, id, ...(key !== undefined && { key }), arguments: args },
      attempt: retryCount + 1 - (data.uncounted ?? 0),
      charged: retryCount + 1 - (data.uncounted ?? 0),
      signal: claim.signal,
      complete: () => {
        onThrough();
        return this.settle(claim, () => this.completions.add(namedAs(job)));
      },
      retryIn: async (afterMs, output) => {
        const wasOurs = await settle({ state: 'retry', afterMs, output });
        if (wasOurs) this.options.onRetry(name, afterMs);
        return wasOurs;
      },
      bury: (output) => settle({ state: 'failed', output }),
      release: () => settle({ state: 'retry', afterMs: 0, isUncounted: true }),
      completeIn: (transaction) => this.completeIn(transaction, job),
      abandon: () => this.claims.abandon(claim),
    };
  }

  stop(): void {
    this.claims.stop();
  }

  private async completeIn(transaction: SqlTransaction, { id, name, retryCount }: ClaimedJob): Promise<void> {
    const { statements, transactions } = this.options;
    const { completeInTransaction, isCompleted } = statements;
    const mark = await transactions.join(transaction);
    const attempt = [name, id, retryCount];
    const { rows } = await transactions.query(transaction, completeInTransaction, [...attempt, mark]);
    const { isOpen, completed } = rows[0] as { isOpen: boolean; completed: number };
    if (!isOpen) throw new TransactionRefusedError('over');
    if (completed > 0) return;
    const found = await transactions.query(transaction, isCompleted, attempt);
    throw new CompletionRefusedError(found.rows.length > 0 ? 'completed' : 'lost');
  }

  private settle(claim: HeldClaim<ClaimedJob>, write: () => Promise<Answer>): Promise<boolean> {
    return this.claims.settle(claim, async () => {
      const answer = await write().catch((error: unknown) => {
        this.options.health.failed(error);
        throw error;
      });
      if (answer !== 'locked') return answer;
      throw new Error(`The transaction that is to complete delivery ${claim.claimed.id} does not end`);
    });
  }
}

const namedAs = ({ name, id, retryCount }: ClaimedJob): Named => ({ name, id, attempt: retryCount });

/** Runs a statement, once for each queue. Answers for each attempt whether it still had its claim. */
async function ofEach<T extends Named>(
  attempts: readonly T[],
  query: Query,
  statement: string,
  moreParams: (attempts: readonly T[]) => unknown[] = () => [],
): Promise<Answer[]> {
  const found = new Map<string, Answer>();
  for (const name of new Set(attempts.map((attempt) => attempt.name))) {
    const some = attempts.filter((attempt) => attempt.name === name);
    const ids = some.map(({ id }) => id);
    const numbered = some.map(({ id, attempt }) => `${id} ${attempt}`);
    const { rows } = await query(statement, [name, ids, numbered, ...moreParams(some)]);
    for (const { id, isLocked } of rows as { id: string; isLocked?: boolean }[]) {
      found.set(`${name} ${id}`, isLocked ? 'locked' : true);
    }
  }
  return attempts.map(({ name, id }) => found.get(`${name} ${id}`) ?? false);
}
