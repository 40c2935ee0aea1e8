import type { RegisteredCallback, RegisteredEvent } from '../callbacks/registered-event.js';
import type { EngineAttempt } from '../engine/engine-attempt.js';
import type { SqlTransaction } from '../engine/sql-transaction.js';
import { CompletionRefusedError, TransactionRefusedError, UnknownOutcomeError } from '../engine/refusals.js';
import { completingFailed, completingRefused } from '../errors/completing-errors.js';
import { transactionAborted } from '../errors/transaction-errors.js';
import { type HandleReading, requireHandle } from '../transactions/data-layers.js';
import { isAborted, isToBeRepeated, sqlStateOf } from '../transactions/sql-state.js';
import type { TransactionHandle } from '../transactions/transaction-handle.js';
import { shownId } from './given-id.js';
import type { RunningEngine } from './running-engine.js';

/** Completes a delivery by its callback's own transaction. What keeps it from that is said by name. */
export class Completing {
  constructor(
    private readonly engine: Pick<RunningEngine, 'name' | 'takesTransactions'>,
    private readonly event: RegisteredEvent,
    private readonly callback: RegisteredCallback,
    private readonly attempt: EngineAttempt,
  ) {}

  /**
   * @throws EVENTS_WITH_INVALID, EVENTS_ENGINE_UNSUITED, EVENTS_TRANSACTION_OVER, EVENTS_TRANSACTION_FOREIGN,
   * EVENTS_TRANSACTION_ABORTED, EVENTS_DELIVERY_LOST, EVENTS_DELIVERY_COMPLETED, EVENTS_STORE_FAILED
   */
  async in(handle: TransactionHandle): Promise<void> {
    const reading = requireHandle(handle, 'completeIn()');
    const sql = this.sqlOf(reading);
    try {
      await this.attempt.completeIn(sql);
    } catch (cause) {
      throw this.errorOf(cause, reading.kind);
    }
  }

  private sqlOf({ kind, sql }: HandleReading): SqlTransaction {
    if (!this.engine.takesTransactions) throw this.refused('unsuited', kind);
    if (!sql) throw this.refused('foreign', kind);
    return sql;
  }

  private errorOf(cause: unknown, kind: string): unknown {
    if (cause instanceof TransactionRefusedError) return this.refused(cause.reason, kind, cause);
    if (cause instanceof CompletionRefusedError) return this.refused(cause.reason, kind, cause);
    if (isToBeRepeated(cause)) return cause;
    if (isAborted(cause)) return transactionAborted(cause);
    const isEngines = sqlStateOf(cause) || cause instanceof TypeError || cause instanceof UnknownOutcomeError;
    // Otherwise the data layer itself refuses it: it has ended what the callback may believe to be open.
    return isEngines ? completingFailed(this.who, kind, cause) : this.refused('over', kind, cause);
  }

  private refused(reason: Parameters<typeof completingRefused>[1], kind: string, cause?: unknown) {
    return completingRefused({ ...this.who, engine: this.engine.name }, reason, kind, cause);
  }

  private get who() {
    return { event: this.event.label, callback: this.callback.id, id: shownId(this.attempt.delivery) };
  }
}
