import { describeRun, withCurrentEvent } from '../callbacks/current-event.js';
import { asPartOf, tracedRun } from '../reports/traces.js';
import { delayUseless } from '../errors/delivery-errors.js';
import type { EventsCore } from '../app/shutdown.js';
import { HeldWork } from './held-work.js';
import type { RegisteredCallback, RegisteredEvent } from '../callbacks/registered-event.js';
import type { RunContext } from './run-context.js';
import type { RunScope } from '../nest/instance-scope.js';
import type { Outcome } from './run-all.js';
import { settle } from './settle.js';
import { Storing } from '../delivery/delivery-writer.js';
import { withTransaction } from '../transactions/current-transaction.js';
import type { Transaction } from '../transactions/transaction.js';
import { commitUnseen, transactionForeign, transactionOver } from '../errors/transaction-errors.js';

/**
 * What follows the inline callbacks of a run once they have succeeded: deliveries to durable callbacks are stored, and
 * those are called, or kept for the end of the transaction, that wait for that.
 */
export class Afterwards {
  /** What is being waited for, by name. */
  waitsFor = '';
  private isStoring = false;

  constructor(
    private readonly core: EventsCore,
    private readonly event: RegisteredEvent,
    private readonly storing: Storing | undefined,
    private readonly context: RunContext,
    private readonly transaction: Transaction | undefined,
  ) {}

  /** The id of what is stored. */
  get id(): string | undefined {
    return this.storing?.id;
  }

  /** What a run rejects with that closing gives up: what is being stored by then may be stored. */
  givenUpWith(error: unknown): unknown {
    return this.isStoring ? this.storing!.doubt(error) : error;
  }

  /** @throws EVENTS_TRANSACTION_OVER; what storing rejects with */
  async begin(args: readonly unknown[], scope: RunScope | undefined, tellsCaller = false): Promise<Outcome[]> {
    const { event, transaction } = this;
    this.requireOpen('its inline callbacks were done');
    const outcomes: Outcome[] = [];
    if (this.storing) {
      const startedAt = performance.now();
      const status = await this.store(this.storing);
      const durationMs = performance.now() - startedAt;
      for (const { id } of event.durable) outcomes.push({ callback: id, status, durationMs });
    }
    if (event.held.length > 0) this.requireOpen('its deliveries were stored');
    for (const callback of event.held) {
      if (transaction) {
        this.hold(transaction, callback, args, scope);
        outcomes.push({ callback: callback.id, status: 'held', durationMs: 0 });
      } else if (callback.delivery === 'after-commit') {
        this.waitsFor = callback.id;
        const startedAt = performance.now();
        const result = await settle(this.core, callback, event, args, scope, tellsCaller);
        outcomes.push({ callback: callback.id, ...result, durationMs: performance.now() - startedAt });
      }
    }
    return outcomes;
  }

  /** What is kept for the end of a transaction that has ended would be lost. */
  private requireOpen(whenDone: string): void {
    if (this.transaction?.isOver) throw transactionOver(this.event.label, `had ended before ${whenDone}`, true);
  }

  private async store(storing: Storing): Promise<'stored' | 'held'> {
    const { core, event, transaction } = this;
    this.waitsFor = `storing "${event.label}"`;
    const deliveries = storing.write();
    if (!transaction) {
      this.isStoring = true;
      await storing.send(deliveries);
      this.isStoring = false;
      return 'stored';
    }
    // Of what a transaction stores, its end decides.
    if (core.engine.takesTransactions) {
      await transaction.parts.outlast(() => storing.send(deliveries, transaction));
      return 'stored';
    }
    const tell = (error: unknown) => {
      core.failures.refuse(event.label, error);
      for (const callback of event.durable) core.failures.tell(event, callback, storing.passed, error, false);
    };
    const send = () => withTransaction(undefined, () => storing.send(deliveries)).catch(tell);
    const waitsFor = () => this.waitsFor;
    const work = () => core.inFlight.watch(waitsFor, send(), () => {}).catch(() => {});
    const names = event.durable.map(({ id }) => id).join(', ');
    transaction.hold(new HeldWork(core, 'commit', event.label, names, work, tell));
    return 'held';
  }

  private hold(
    transaction: Transaction,
    callback: RegisteredCallback,
    args: readonly unknown[],
    scope: RunScope | undefined,
  ): void {
    const { core, event } = this;
    const on = callback.delivery === 'after-commit' ? 'commit' : 'rollback';
    const current = describeRun(core, event, args, this.context.request);
    const run = tracedRun();
    const call = () =>
      asPartOf(run, () => withCurrentEvent(current, () => settle(core, callback, event, args, scope, false)));
    // Rejects when the application gives it up, and has told so.
    const work = () => withTransaction(undefined, call).catch(() => {});
    const tell = (error: unknown) => {
      if (core.inFlight.isGivenUpBy(error)) core.failures.tell(event, callback, args, error, false);
      else core.failures.report(event, callback, args, error, false);
    };
    transaction.hold(new HeldWork(core, on, event.label, callback.id, work, tell));
  }
}

const NONE: RunContext = {};

/**
 * What follows the inline callbacks of a run; `undefined` when nothing does. What cannot follow is refused here, before
 * any callback runs.
 *
 * @param passed the arguments as they were passed to `run()`, before any schema
 * @throws EVENTS_COMMIT_UNSEEN, EVENTS_TRANSACTION_FOREIGN, EVENTS_WITH_INVALID for a delay that nothing heeds; what
 * {@link Storing} throws
 */
export function afterwardsOf(
  core: EventsCore,
  event: RegisteredEvent,
  passed: readonly unknown[],
  context = NONE,
  transaction?: Transaction,
): Afterwards | undefined {
  const isDurable = event.durable.length > 0;
  if (!isDurable && context.delayMs) throw delayUseless(event.label);
  if (!isDurable && event.held.length === 0) return undefined;
  if (transaction && !transaction.seesEnd) {
    const waiting = event.held[0] ?? (core.engine.takesTransactions ? undefined : event.durable[0]);
    if (waiting) throw commitUnseen(event.label, waiting.id, transaction.kind);
  }
  if (isDurable && transaction && !transaction.sql && core.engine.takesTransactions) {
    throw transactionForeign(event.label, core.engine.name, transaction.kind, false);
  }
  const storing = isDurable ? new Storing(core, event, passed, context) : undefined;
  return new Afterwards(core, event, storing, context, transaction);
}
