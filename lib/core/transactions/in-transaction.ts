import { AsyncResource } from 'node:async_hooks';
import { AskedPromise } from '../async/asked-promise.js';
import { currentTransaction, noteOpened, withTransaction } from './current-transaction.js';
import { requireHandle } from './data-layers.js';
import { show } from '../errors/describe.js';
import { withInvalid } from '../errors/run-errors.js';
import { wasCommitRefused } from './sql-state.js';
import type { TransactionEnd } from './savepoints.js';
import { Transaction } from './transaction.js';

/** Tells about a transaction what only the code that opens it knows. */
export interface TransactionScope {
  /**
   * The handle of the transaction that this one is a savepoint of; `null` if it is a transaction of its own.
   * @default the current transaction, if both go to the same session of Postgres
   */
  readonly partOf?: object | null;
  /** Whether the calling code still works in a transaction: it may have been suspended. */
  readonly isCurrent?: (tx: object) => boolean;
  /** Does some work outside of the transaction, for a library that keeps the transaction in a context of its own. */
  readonly leave?: <T>(work: () => Promise<T>) => Promise<T>;
  /** Is called when the transaction has ended, before the callbacks that wait for its end. */
  readonly onEnd?: () => void;
}

/**
 * Opens a transaction to run events in. Durable deliveries are stored by it. `'after-commit'` and `'after-rollback'`
 * callbacks are called when it has ended, and it waits for them. Inside another transaction it is a savepoint of that one:
 * callbacks that wait for the end then wait for the end of the outer transaction, and `'after-commit'` callbacks are dropped
 * if the savepoint is rolled back.
 *
 * Before it commits, it waits for the runs that were begun inside, whether or not somebody has awaited them. If one fails
 * after the work is done, nobody has: the transaction is rolled back, and this rejects with that error.
 *
 * @param open the data layer's own way to run something in a transaction
 * @param work is given what `open` hands out; in inline callbacks `currentEvent().tx` is the same
 * @param scope is for wrappers of libraries that open transactions
 * @returns what `open` resolves to
 *
 * @example
 * await inTransaction(
 *   (work) => dataSource.transaction(work),
 *   async (manager: EntityManager) => {
 *     await manager.insert(User, { name, email });
 *     await events.run('user_joined', name, email);
 *   },
 * );
 *
 * @throws what `open` rejects with; EVENTS_TRANSACTION_ABORTED; EVENTS_WITH_INVALID when that hands out no transaction, or
 * does not do the work once, before it resolves
 */
export function inTransaction<Tx extends object, T>(
  open: (work: (tx: Tx) => Promise<T>) => Promise<T>,
  work: (tx: Tx) => Promise<T>,
  scope: TransactionScope = {},
): Promise<T> {
  const attempts = new Attempts(scope);
  const ended = new AskedPromise<T>((resolve) => resolve(carryOut(attempts, open, work)));
  // A run in it that awaits it would otherwise wait for itself.
  ended.onAsked = () => attempts.noteAskedForEnd();
  return ended;
}

async function carryOut<Tx extends object, T>(
  attempts: Attempts,
  open: (work: (tx: Tx) => Promise<T>) => Promise<T>,
  work: (tx: Tx) => Promise<T>,
): Promise<T> {
  for (const [given, remedy] of [
    [open, 'Pass the way in which your data layer runs something in a transaction, and then what to do in it.'],
    [work, 'Pass what to do in the transaction as the second argument.'],
  ] as const) {
    if (typeof given !== 'function') throw withInvalid(show(given), remedy, 'inTransaction()');
  }
  // Asked before: some data layers hold the outer transaction up while an inner one is open.
  await attempts.findSession();
  let result: T;
  try {
    result = await open((tx) => attempts.make(tx, work));
    attempts.requireDone();
  } catch (error) {
    await attempts.end('rolled back', error);
    throw error;
  }
  await attempts.end('committed');
  return result;
}

interface Attempt {
  readonly transaction: Transaction;
  state: 'working' | 'failed' | 'succeeded';
  /** Says how it has ended. */
  end(how: TransactionEnd, error: unknown): Promise<void>;
}

/** The attempts of one `open()`: a data layer may repeat a transaction that could not be serialized. */
class Attempts {
  readonly outer: Transaction | undefined;
  private readonly context = new AsyncResource('NestCallbacksTransaction');
  private readonly all: Attempt[] = [];
  private session: number | undefined;
  private isWorking = false;
  private hasEnded = false;

  constructor(private readonly scope: TransactionScope) {
    // Code that an ended transaction has left behind works in none.
    const current = currentTransaction();
    this.outer = current?.isOver ? undefined : current;
  }

  async findSession(): Promise<void> {
    if (this.scope.partOf === undefined) this.session = await this.outer?.session();
  }

  /** Does the work in the transaction that `open` hands out. */
  async make<Tx extends object, T>(tx: Tx, work: (tx: Tx) => Promise<T>): Promise<T> {
    if (this.hasEnded) throw openInvalid('called the work after it had ended itself');
    if (this.isWorking) throw openInvalid('called the work again while it was being done');
    this.isWorking = true;
    let attempt: Attempt | undefined;
    try {
      attempt = await this.begin(tx);
      const { transaction } = attempt;
      const done = await withTransaction(transaction, () => work(tx));
      await transaction.runs.ended();
      await transaction.write();
      // Writing may have had the data layer call somebody who runs more.
      await transaction.runs.ended();
      await transaction.requireCommittable();
      attempt.state = 'succeeded';
      return done;
    } catch (error) {
      if (attempt) attempt.state = 'failed';
      throw error;
    } finally {
      this.isWorking = false;
    }
  }

  /**
   * Refuses to say that all is well when `open` has resolved and the work is not done.
   *
   * @throws EVENTS_WITH_INVALID
   */
  requireDone(): void {
    if (this.isWorking) throw openInvalid('resolved before the work in it was done');
    if (this.all.length === 0) throw openInvalid('has not called the work, so that nothing was done');
  }

  /** Somebody asks for the end. */
  noteAskedForEnd(): void {
    const { outer } = this;
    // What a run has left behind, in the background say, may wait for the end.
    for (let around = currentTransaction(); around && around !== outer; around = around.enclosing) {
      const attempt = this.all.find(({ transaction }) => transaction === around);
      if (attempt) return attempt.transaction.runs.noteAskedForEnd();
    }
  }

  private async begin(tx: object): Promise<Attempt> {
    const { outer: enclosing, context, scope } = this;
    const reading = requireHandle(tx, 'inTransaction()');
    const opening = {
      context,
      isCurrent: () => scope.isCurrent?.(tx) ?? true,
      leave: <T>(work: () => Promise<T>) => scope.leave?.(work) ?? work(),
    };
    const alone = new Transaction(tx, { enclosing, opening }, reading);
    const parent = await this.parentOf(alone);
    const attempt = parent
      ? savepointOf(
          parent,
          new Transaction(tx, { parent, enclosing, opening: parent.seesEnd ? opening : undefined }, reading),
        )
      : { transaction: alone, state: 'working' as const, end: alone.end.bind(alone) };
    this.all.push(attempt);
    noteOpened(attempt.transaction);
    return attempt;
  }

  private async parentOf(alone: Transaction): Promise<Transaction | undefined> {
    const { partOf } = this.scope;
    if (partOf === null) return undefined;
    if (partOf === undefined) return (await this.outer?.includes(alone, this.session)) ? this.outer : undefined;
    let { outer } = this;
    while (outer && outer.handle !== partOf) outer = outer.enclosing;
    return outer;
  }

  async end(how: 'committed' | 'rolled back', error?: unknown): Promise<void> {
    this.hasEnded = true;
    for (const { transaction } of this.all) transaction.close();
    this.scope.onEnd?.();
    const last = this.all.at(-1);
    for (const attempt of this.all) {
      await attempt.end(attempt === last ? endOf(attempt, how, error) : 'rolled back', error);
    }
  }
}

function savepointOf({ savepoints }: Transaction, transaction: Transaction): Attempt {
  const savepoint = savepoints.enter(transaction);
  return { transaction, state: 'working', end: (how, error) => savepoints.leave(savepoint, how, error) };
}

function endOf({ state }: Attempt, how: 'committed' | 'rolled back', error: unknown): TransactionEnd {
  if (state === 'failed') return 'rolled back';
  // It goes on, beyond what has opened it.
  if (state === 'working') return 'unknown';
  // The work was done, and then something failed: the commit, or something after it.
  return how === 'committed' || wasCommitRefused(error) ? how : 'unknown';
}

const openInvalid = (problem: string) =>
  withInvalid(
    `a way to open a transaction that ${problem}`,
    'Pass one that hands the work to the data layer and returns its promise: (work) => dataSource.transaction(work).',
    'inTransaction()',
  );
