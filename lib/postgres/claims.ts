import {
  CompletionRefusedError,
  type EngineAttempt,
  type EngineHealth,
  failureOf,
  type HeldClaim,
  HeldClaims,
  type SqlTransaction,
  type StoredError,
  TransactionRefusedError,
} from '../engine/index.js';
import { asAscii } from './ascii.js';
import { Batches } from './batches.js';
import type { CallerTransactions, Yes } from './caller-transactions.js';
import { type ClaimedJob, deliveryOf, type JobData, namedAs, type NamedAttempt, type Verdict } from './claimed-job.js';
import type { Connection } from './connection/connection.js';
import { requireAddress } from './queue-name.js';
import type { Statements } from './statements/statements.js';

type Query = SqlTransaction['query'];

/** Whether an attempt still had its claim. `'locked'` while the callback's own transaction decides that. */
type Answer = boolean | 'locked';

const QUERY_TIMEOUT_MS = 5_000;
/** Enough for the largest data on a slow line. Meanwhile the claim is renewed. */
const LOAD_TIMEOUT_MS = 60_000;

/** The things that {@link Claims} need. */
export interface ClaimsOptions {
  readonly connection: Connection;
  readonly statements: Statements;
  readonly transactions: CallerTransactions;
  /** The channel to notify on when a delivery is due again, and whom. */
  readonly channel: string;
  readonly callAnyone: () => string;
  readonly leaseMs: number;
  /** Names this instance in the history of what fails in it. */
  readonly instance: string;
  readonly health: EngineHealth;
  /** Is told when a delivery of a queue will be due again. */
  readonly onRetry: (queue: string, afterMs: number) => void;
}

/** What a worker is told of an attempt. */
export interface AttemptEvents {
  /** The callback is through, which may be before that is written down. */
  onThrough(): void;
  /** It is written down how the attempt has ended. */
  onSettled(): void;
}

/** Renews the claims on the deliveries that this instance performs, and writes down how those begin and end. */
export class Claims {
  private readonly claims: HeldClaims<ClaimedJob>;
  private readonly completions: Batches<NamedAttempt, Answer>;
  private readonly verdicts: Batches<Verdict, Answer>;
  private loading: Promise<unknown> = Promise.resolve();

  constructor(private readonly options: ClaimsOptions) {
    const { connection, statements, channel, callAnyone, leaseMs, health } = options;
    this.completions = new Batches((attempts) => ofEach(attempts, this.query, statements.complete));
    const settle = (verdicts: readonly Verdict[]) =>
      ofEach(verdicts, this.query, statements.settle, (some) => [JSON.stringify(some), channel, callAnyone()]);
    this.verdicts = new Batches((verdicts) =>
      settle(verdicts).catch((error: unknown) => {
        if (!cannotWrite(error)) throw error;
        return settle(verdicts.map(inAscii));
      }),
    );
    this.claims = new HeldClaims<ClaimedJob>({
      leaseMs,
      // In an embedded database there is nobody else who could take a claim.
      expires: !connection.isEmbedded,
      health,
      renew: async (jobs) => (await ofEach(jobs.map(namedAs), this.query, statements.renew)).map(Boolean),
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

  /** Keeps a claim on a job from now on, until the attempt at it is settled or abandoned. */
  hold(job: ClaimedJob): HeldClaim<ClaimedJob> {
    return this.claims.hold(job, job.claimedAt);
  }

  abandon(claim: HeldClaim<ClaimedJob>): void {
    this.claims.abandon(claim);
  }

  /** Gives back what was claimed and has not begun. */
  giveBack(claim: HeldClaim<ClaimedJob>): Promise<boolean> {
    return this.settle(claim, () => this.verdicts.add(released(claim.claimed)));
  }

  /**
   * Makes the attempt at a claimed job, for the application to perform: reads data that did not come with the claim, and
   * notes that a lone suspect begins.
   */
  async begin(claim: HeldClaim<ClaimedJob>, events: AttemptEvents): Promise<EngineAttempt> {
    const { claimed: job } = claim;
    const data = job.data ?? (await this.load(claim));
    if (job.isLoneSuspect) await this.noteBegin(job);
    return this.attemptAt(claim, data, events);
  }

  stop(): void {
    this.claims.stop();
  }

  private readonly query: Query = (sql, params) => this.options.connection.query(sql, params, QUERY_TIMEOUT_MS);

  private attemptAt(claim: HeldClaim<ClaimedJob>, data: JobData, events: AttemptEvents): EngineAttempt {
    const job = claim.claimed;
    const { name, retryCount, spared, postponedMs } = job;
    const attempt = retryCount + 1 - (data.uncounted ?? 0);
    const told = (settling: Promise<boolean>) => settling.finally(() => events.onSettled());
    const failed = (output: StoredError) => ({
      output,
      failure: failureOf(this.options.instance, output),
      isUncounted: false,
    });
    const settle = (rest: Omit<Verdict, keyof NamedAttempt>) =>
      told(this.settle(claim, () => this.verdicts.add({ ...namedAs(job), ...rest })));
    const later = async (verdict: Parameters<typeof settle>[0]) => {
      const wasOurs = await settle(verdict);
      if (wasOurs) this.options.onRetry(name, verdict.afterMs);
      return wasOurs;
    };
    return {
      delivery: deliveryOf(job, data),
      attempt,
      charged: attempt - spared,
      postponedMs,
      signal: claim.signal,
      complete: () => {
        events.onThrough();
        return told(this.settle(claim, () => this.completions.add(namedAs(job))));
      },
      retryIn: (afterMs, output) => later({ state: 'retry', afterMs, ...failed(output) }),
      postpone: (ms) => later({ state: 'retry', afterMs: ms, isUncounted: true, postponedMs: ms }),
      bury: (output) => settle({ state: 'failed', afterMs: 0, ...failed(output) }),
      release: () => told(this.giveBack(claim)),
      completeIn: (transaction) => this.completeIn(transaction, job),
    };
  }

  /** Loads one at a time, so that the claims are renewed beside it however slow the line is. */
  private load({ claimed: { name, id }, signal }: HeldClaim<ClaimedJob>): Promise<JobData> {
    const { connection, statements } = this.options;
    const loaded = this.loading.then(async () => {
      signal.throwIfAborted();
      const { rows } = await connection.query(statements.load, [name, id], LOAD_TIMEOUT_MS);
      if (rows.length === 0) throw new Error(`Delivery ${id} is not there any more`);
      return (rows[0] as { data: JobData }).data;
    });
    this.loading = loaded.catch(() => {});
    return loaded;
  }

  private async noteBegin(job: ClaimedJob): Promise<void> {
    const [hasBegun] = await ofEach([namedAs(job)], this.query, this.options.statements.begin);
    if (!hasBegun) throw new Error(`Delivery ${job.id} has been claimed by another instance`);
  }

  private async completeIn(transaction: SqlTransaction, { id, name, retryCount, token }: ClaimedJob): Promise<void> {
    const { statements, transactions } = this.options;
    const { completeInTransaction, isCompleted } = statements;
    const mark = await transactions.join(transaction);
    const attempt = [name, id, retryCount];
    const { rows } = await transactions.query(transaction, completeInTransaction, [...attempt, mark, token]);
    const { isOpen, completed } = rows[0] as { isOpen: Yes; completed: Yes };
    if (!isOpen) throw new TransactionRefusedError('over');
    if (completed) return;
    const found = await transactions.query(transaction, isCompleted, [...attempt, token]);
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

/** Whether the database has no way to write some text: it has fewer characters, as LATIN1 has. */
const cannotWrite = (error: unknown) => String((error as { code?: unknown } | null)?.code).startsWith('22');

const inAscii = ({ output, failure, ...verdict }: Verdict): Verdict => ({
  ...verdict,
  ...(output && { output: asAscii(output) }),
  ...(failure && { failure: asAscii(failure) }),
});

const released = (job: ClaimedJob): Verdict => ({ ...namedAs(job), state: 'retry', afterMs: 0, isUncounted: true });

/** Runs a statement, once for each queue. Answers for each attempt whether it still had its claim. */
async function ofEach<T extends NamedAttempt>(
  attempts: readonly T[],
  query: Query,
  statement: string,
  moreParams: (attempts: readonly T[]) => unknown[] = () => [],
): Promise<Answer[]> {
  const found = new Map<string, Answer>();
  for (const name of new Set(attempts.map((attempt) => attempt.name))) {
    const some = attempts.filter((attempt) => attempt.name === name);
    const ids = some.map(({ id }) => id);
    const numbered = some.map(({ id, attempt, token }) => `${id} ${attempt} ${token}`);
    const { rows } = await query(statement, [name, ids, numbered, ...moreParams(some)]);
    for (const { id, token, isLocked } of rows as { id: string; token: string; isLocked?: boolean }[]) {
      found.set(`${name} ${id} ${token}`, isLocked ? 'locked' : true);
    }
  }
  return attempts.map(({ name, id, token }) => found.get(`${name} ${id} ${token}`) ?? false);
}
