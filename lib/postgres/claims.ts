import {
  type EngineAttempt,
  type EngineHealth,
  type HeldClaim,
  HeldClaims,
  type SqlTransaction,
  type StoredError,
} from '../engine/index.js';
import { Batches } from './batches.js';
import type { Connection } from './connection/connection.js';
import { addressOf } from './queue-name.js';
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
  /** When it was asked for: no claim is older. */
  readonly claimedAt: number;
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

/** Whether an attempt holds its claim; `'locked'` while its own transaction decides that. */
type Answer = boolean | 'locked';

const QUERY_TIMEOUT_MS = 5_000;

/** The deliveries that this instance performs: renews its claims on them, and writes down how they ended. */
export class Claims {
  private readonly held: HeldClaims<ClaimedJob>;
  private readonly completions: Batches<Named, Answer>;
  private readonly verdicts: Batches<Verdict, Answer>;

  constructor(
    connection: Connection,
    private readonly statements: Statements,
    channel: string,
    leaseMs: number,
    private readonly health: EngineHealth,
    /** Is told when a delivery of a queue will be due again. */
    private readonly onRetry: (queue: string, afterMs: number) => void,
  ) {
    const query: Query = (sql, params) => connection.query(sql, params, QUERY_TIMEOUT_MS);
    this.completions = new Batches((attempts) => ofEach(attempts, query, statements.complete));
    this.verdicts = new Batches((verdicts) =>
      ofEach(verdicts, query, statements.settle, (some) => [JSON.stringify(some), channel]),
    );
    this.held = new HeldClaims<ClaimedJob>({
      leaseMs,
      // Else there is nobody who could take it.
      expires: !connection.isEmbedded,
      health,
      renew: async (jobs) => (await ofEach(jobs.map(namedAs), query, statements.renew)).map(Boolean),
      describe: ({ id, name }) => `delivery ${id} to ${addressOf(name)!.callback}`,
    });
  }

  /** What this instance is performing, as queue and id: that its claims were not renewed in time takes nothing from it. */
  get names(): string[] {
    return this.held.all.map(({ name, id }) => `${name} ${id}`);
  }

  /** What is performed of a claimed job. */
  attemptAt(job: ClaimedJob, onThrough = () => {}): EngineAttempt & { abandon(): void } {
    const claim = this.held.hold(job, job.claimedAt);
    const { id, name, retryCount, data } = job;
    const { callback } = addressOf(name)!;
    const { event, key, arguments: args } = data;
    const settle = (rest: Omit<Verdict, keyof Named>) =>
      this.settle(claim, () => this.verdicts.add({ ...namedAs(job), ...rest }));
    return {
      delivery: { event, callback, id, ...(key !== undefined && { key }), arguments: args },
      attempt: retryCount + 1 - (data.uncounted ?? 0),
      signal: claim.signal,
      complete: () => {
        onThrough();
        return this.settle(claim, () => this.completions.add(namedAs(job)));
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
      abandon: () => this.held.abandon(claim),
    };
  }

  stop(): void {
    this.held.stop();
  }

  private settle(claim: HeldClaim<ClaimedJob>, write: () => Promise<Answer>): Promise<boolean> {
    return this.held.settle(claim, async () => {
      const answer = await write().catch((error: unknown) => {
        this.health.failed(error);
        throw error;
      });
      if (answer !== 'locked') return answer;
      throw new Error(`The transaction that is to complete delivery ${claim.claimed.id} does not end`);
    });
  }
}

const namedAs = ({ name, id, retryCount }: ClaimedJob): Named => ({ name, id, attempt: retryCount });

/** Of each attempt, what a statement has found: one statement a queue. */
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
