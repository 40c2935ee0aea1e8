import { recognizeCopies } from '../copies/shared.js';

/** Says that an engine cannot know whether the deliveries are stored: `store()` rejects with it. */
export class UnknownOutcomeError extends Error {
  override readonly name = 'UnknownOutcomeError';
}
recognizeCopies(UnknownOutcomeError, 'UnknownOutcomeError');

/** Says that a delivery cannot be completed in a transaction: `completeIn()` rejects with it. */
export class CompletionRefusedError extends Error {
  override readonly name = 'CompletionRefusedError';

  /** @param reason `'lost'`: the attempt has no claim any more; `'completed'`: it has completed the delivery already */
  constructor(readonly reason: 'lost' | 'completed') {
    super(reason === 'lost' ? 'the claim is gone' : 'the delivery is completed already');
  }
}
recognizeCopies(CompletionRefusedError, 'CompletionRefusedError');

/** Says that deliveries cannot be stored, or completed, in a transaction, which is left as it was. */
export class TransactionRefusedError extends Error {
  override readonly name = 'TransactionRefusedError';

  /** @param reason `'over'`: it has ended, or is none; `'foreign'`: it is one of another database */
  constructor(
    readonly reason: 'over' | 'foreign',
    options?: { cause?: unknown },
  ) {
    super(reason === 'over' ? 'no transaction is open there' : 'that is a transaction of another database', options);
  }
}
recognizeCopies(TransactionRefusedError, 'TransactionRefusedError');

/** Says that a list cannot go on after a cursor, which it has not given: `list()` rejects with it. */
export class CursorRefusedError extends Error {
  override readonly name = 'CursorRefusedError';
}
recognizeCopies(CursorRefusedError, 'CursorRefusedError');
