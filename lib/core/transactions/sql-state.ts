import { transactionAborted } from '../errors/transaction-errors.js';

/**
 * The SQLSTATE that a database has answered with, however deep a data layer has wrapped it; `undefined` if something else
 * failed. Codes of the system (`EPIPE`) look like one, but have no digit; those of Prisma begin with P1 to P9.
 */
export function sqlStateOf(error: unknown, depth = 0): string | undefined {
  if (typeof error !== 'object' || error === null || depth > 4) return undefined;
  const { code, originalCode, ...rest } = error as Record<string, unknown>;
  const state = String(originalCode ?? code);
  if (/^(?!P[1-9])(?=.*\d)[0-9A-Z]{5}$/.test(state)) return state;
  const inner = [(error as { cause?: unknown }).cause, rest.driverError, rest.meta, rest.driverAdapterError];
  for (const one of inner) {
    const found = sqlStateOf(one, depth + 1);
    if (found) return found;
  }
  return undefined;
}

/** "In failed SQL transaction". */
export const ABORTED = '25P02';

/** Whether a transaction refused a statement because an earlier one has failed. */
export const isAborted = (error: unknown) => sqlStateOf(error) === ABORTED;

/**
 * Whether the database has rolled a transaction back only because of others, so that it is to be done again: it could not be
 * put in order with them (40001), or stood in a deadlock (40P01).
 */
export const isToBeRepeated = (error: unknown) => /^40(?:001|P01)$/.test(sqlStateOf(error) ?? '');

/**
 * Whether the database itself refused a commit: a constraint or a trigger was deferred to it, or it could not be put in order
 * with others. Any other error may come from something after the commit.
 */
export const wasCommitRefused = (error: unknown) => /^(?:23|25|40|44|P0)/.test(sqlStateOf(error) ?? '');

/**
 * Throws an error of a statement: as EVENTS_TRANSACTION_ABORTED if an earlier statement has spoilt the transaction, and
 * otherwise as it is, or as `otherwise` has it.
 */
export function throwAborted(error: unknown, otherwise = () => error): never {
  throw isAborted(error) ? transactionAborted(error) : otherwise();
}
