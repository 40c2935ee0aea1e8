import { AsyncResource } from 'node:async_hooks';
import { currentTransaction, withTransaction } from './current-transaction.js';
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
 * @throws what `open` rejects with; EVENTS_TRANSACTION_ABORTED; EVENTS_WITH_INVALID when that hands out no transaction
 */
export async function inTransaction<Tx extends object, T>(
  open: (work: (tx: Tx) => Promise<T>) => Promise<T>,
  work: (tx: Tx) => Promise<T>,
  scope: TransactionScope = {},
): Promise<T> {
  for (const [given, remedy] of [
    [open, 'Pass the way in which your data layer runs something in a transaction, and then what to do in it.'],
    [work, 'Pass what to do in the transaction as the second argument.'],
  ] as const) {
    if (typeof given !== 'function') throw withInvalid(show(given), remedy, 'inTransaction()');
  }
  const attempts = new Attempts(scope);
  // Asked before: some data layers hold the outer transaction up while an inner one is open.
  const session = scope.partOf === undefined ? await attempts.outer?.session() : undefined;
  let result: T;
  try {
    result = await open(async (tx) => {
      const attempt = await attempts.begin(tx, session);
      const { transaction } = attempt;
      const done = await withTransaction(transaction, () => work(tx));
      await transaction.write();
      await transaction.requireCommittable();
      attempt.hasSucceeded = true;
      return done;
    });
  } catch (error) {
    await attempts.end('rolled back', error);
    throw error;
  }
  await attempts.end('committed');
  return result;
}

interface Attempt {
  readonly transaction: Transaction;
  hasSucceeded: boolean;
  /** Says how it has ended. */
  end(how: TransactionEnd, error: unknown): Promise<void>;
}

/** The attempts of one `open()`: a data layer may repeat a transaction that could not be serialized. */
class Attempts {
  readonly outer: Transaction | undefined;
  private readonly context = new AsyncResource('NestCallbacksTransaction');
  private readonly all: Attempt[] = [];

  constructor(private readonly scope: TransactionScope) {
    // Code that an ended transaction has left behind works in none.
    const current = currentTransaction();
    this.outer = current?.isOver ? undefined : current;
  }

  async begin(tx: object, session: number | undefined): Promise<Attempt> {
    const { outer: enclosing, context, scope } = this;
    const reading = requireHandle(tx, 'inTransaction()');
    const opening = {
      context,
      isCurrent: () => scope.isCurrent?.(tx) ?? true,
      leave: <T>(work: () => Promise<T>) => scope.leave?.(work) ?? work(),
    };
    const alone = new Transaction(tx, { enclosing, opening }, reading);
    const parent = await this.parentOf(alone, session);
    const attempt = parent
      ? savepointOf(
          parent,
          new Transaction(tx, { parent, enclosing, opening: parent.seesEnd ? opening : undefined }, reading),
        )
      : { transaction: alone, hasSucceeded: false, end: alone.end.bind(alone) };
    this.all.push(attempt);
    return attempt;
  }

  private async parentOf(alone: Transaction, session: number | undefined): Promise<Transaction | undefined> {
    const { partOf } = this.scope;
    if (partOf === null) return undefined;
    if (partOf === undefined) return (await this.outer?.includes(alone, session)) ? this.outer : undefined;
    let { outer } = this;
    while (outer && outer.handle !== partOf) outer = outer.enclosing;
    return outer;
  }

  async end(how: 'committed' | 'rolled back', error?: unknown): Promise<void> {
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
  return { transaction, hasSucceeded: false, end: (how, error) => savepoints.leave(savepoint, how, error) };
}

function endOf({ hasSucceeded }: Attempt, how: 'committed' | 'rolled back', error: unknown): TransactionEnd {
  if (!hasSucceeded) return 'rolled back';
  // The work was done, and then something failed: the commit, or something after it.
  return how === 'committed' || wasCommitRefused(error) ? how : 'unknown';
}
