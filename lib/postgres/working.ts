import {
  Duty,
  type HeldClaim,
  type DurableCallback,
  type EngineAttempt,
  type EngineHealth,
  type EngineHost,
  Quarantine,
  type Term,
} from '../engine/index.js';
import { Alarms } from './alarms.js';
import { Calls } from './calls.js';
import type { CallerTransactions } from './caller-transactions.js';
import type { ClaimedJob } from './claimed-job.js';
import { Claiming } from './claiming.js';
import { type AttemptEvents, Claims } from './claims.js';
import type { Connection } from './connection/connection.js';
import { Hearing } from './hearing.js';
import { Instances, type Move } from './instances.js';
import type { InstanceStatements } from './statements/instances.js';
import type { Limits } from './limits.js';
import type { Statements } from './statements/statements.js';
import { Retention } from './retention.js';
import { Sweeper } from './sweeper.js';
import { Worker } from './worker.js';
import { WithinLimits } from './within-limits.js';
import { Workers } from './workers.js';

/** How often an instance looks that nobody can call. */
const UNHEARD_MS = 1_000;

/** The things that {@link Working} needs. */
export interface WorkingOptions {
  readonly host: EngineHost;
  readonly connection: Connection;
  readonly statements: Statements;
  readonly transactions: CallerTransactions;
  readonly channel: string;
  readonly leaseMs: number;
  readonly keepDeadMs: number;
  /** The statements by which instances agree, if the schema has what they need. */
  readonly instances: InstanceStatements | undefined;
  /** Prepares for callbacks with limits. */
  readonly limits: Limits;
  readonly health: EngineHealth;
}

/** The part of an instance that performs deliveries: its workers, and how they learn that something is due. */
export class Working {
  private readonly workers = new Workers();
  private readonly quarantine = new Quarantine();
  private readonly alarms = new Alarms((queue) => this.calls.look(queue));
  private readonly instances: Instances;
  private readonly calls: Calls;
  private readonly claiming: Claiming;
  private readonly claims: Claims;
  private readonly sweeper: Sweeper;
  private readonly duty: Duty;
  private readonly worked: string[] = [];
  private readonly limited: WithinLimits[] = [];
  private unlisten: (() => Promise<void>) | undefined;
  private readonly hearing: Hearing;

  constructor(private readonly options: WorkingOptions) {
    const { connection, statements, channel, leaseMs, health } = options;
    const { alarms, workers } = this;
    const instances = (this.instances = new Instances(connection, options.instances, channel));
    const onLeft = () => this.duty.hurry();
    const calls = (this.calls = new Calls({ connection, channel, instances, workers, health, onLeft }));
    this.hearing = new Hearing(calls, options);
    const onRetry = (queue: string, afterMs: number) => alarms.set(queue, afterMs);
    this.claiming = new Claiming({ connection, statements, leaseMs, health });
    this.claims = new Claims({ ...options, instance: options.host.instance, callAnyone: calls.anyone, onRetry });
    this.sweeper = new Sweeper({ connection, statements, instances, claims: this.claims, calls, alarms });
    const retention = options.keepDeadMs < Infinity ? new Retention(options) : undefined;
    this.duty = new Duty({
      take: () => this.beat(),
      work: async () => {
        const fail = (error: unknown) => health.failed(error);
        await options.limits.assignGroups().catch(fail);
        await retention?.tidy().catch(fail);
        await this.sweeper.tidy();
      },
      health,
    });
  }

  get hasDuty(): boolean {
    return this.duty.isHeld;
  }

  /** Performs the deliveries of a callback from now on, which are in this queue. */
  work(queue: string, callback: DurableCallback, perform: (attempt: EngineAttempt) => Promise<void>): void {
    const { claiming, claims, calls, quarantine, options } = this;
    const { concurrency, isOrdered } = callback;
    const within = this.within(queue, callback);
    const worker = new Worker({
      concurrency,
      isOrdered,
      quarantine,
      claim: async (most, keys) => {
        const found = await (isOrdered
          ? claiming.claimInOrder(queue, most, keys, within)
          : claiming.claim(queue, most, within));
        calls.claimed(queue, found.isAll);
        return found;
      },
      claimSuspect: (isAlone) => claiming.claimSuspect(queue, isAlone, within),
      attempt: (job, events) => this.attempt(job, events, perform, within),
      giveBack: (job) => claims.giveBack(claims.hold(job)),
      onFailure: (error) => options.health.failed(error),
    });
    this.worked.push(queue);
    this.instances.workOn(queue);
    this.workers.add(queue, worker);
    this.duty.start();
    this.listen();
  }

  /** Moves deliveries between queues, now and whenever some are stored under a former name. */
  async adopt(moves: readonly Move[]): Promise<void> {
    this.instances.askFor(moves);
    // It is tried again. What is there already must not wait for that.
    await this.sweeper.adopt(moves).catch((error: unknown) => this.options.health.failed(error));
  }

  /**
   * Whom to notify of what is stored in a queue.
   *
   * @param isCommitted whether this instance knows when it is there: {@link Working.stored} is called then
   * @returns `undefined` if it can take it itself, and nobody else need know
   */
  calledFor(queue: string, isCommitted: boolean): string | undefined {
    if (!isCommitted) return this.calls.onCommit(queue);
    return this.workers.hasRoom(queue) ? undefined : this.calls.anyone();
  }

  /** Is told that something was stored in a queue, and when it will be due. */
  stored(queue: string, delayMs: number, key?: string): void {
    if (delayMs > 0) this.alarms.set(queue, delayMs);
    else this.calls.look(queue, key);
  }

  /** Begins no more attempts. Resolves when none can begin any more. */
  async stopWorking(): Promise<void> {
    this.alarms.stop();
    this.hearing.stop();
    this.claiming.stop();
    for (const within of this.limited) within.stop();
    // All at once: each may be waiting for a database that is away. The application may end its pool after this, and that
    // waits for the client that listens.
    await Promise.all([this.workers.stop(), this.duty.stop(), this.unlisten?.()]);
    if (this.worked.length > 0) await this.instances.leave().catch(() => {});
    this.worked.length = 0;
  }

  stop(): void {
    this.claims.stop();
    this.options.health.stop();
  }

  private async beat(): Promise<Term> {
    const { instances, sweeper, calls, claims, worked } = this;
    const { isHeld, askInMs, due } = await instances.beat(claims.names);
    if (due) sweeper.callFor(due);
    // Nobody has looked, or nobody can tell this instance of what was found.
    else if (isHeld || !calls.isHeard) await sweeper.sweep(worked, isHeld);
    return { isHeld, askInMs: calls.isHeard ? askInMs : UNHEARD_MS };
  }

  /** Has the deliveries of a callback claimed within its limits, if it has any. */
  private within(queue: string, callback: DurableCallback): WithinLimits | undefined {
    const { limits } = callback;
    const claim = this.options.limits.statements?.claim;
    if (!limits || claim === undefined) return undefined;
    const within = new WithinLimits({ ...callback, limits }, claim, (wanted) =>
      wanted === 'suspect' ? this.workers.wakeForSuspects(queue) : this.workers.wake(queue),
    );
    this.limited.push(within);
    return within;
  }

  private async attempt(
    job: ClaimedJob,
    { onThrough, onSettled }: AttemptEvents,
    perform: (attempt: EngineAttempt) => Promise<void>,
    within?: WithinLimits,
  ): Promise<string | undefined> {
    const { claims, options } = this;
    const claim = claims.hold(job);
    const settled = () => {
      onSettled();
      within?.ended();
    };
    // A lone suspect is late only before it is written down that it begins: then it would be none any more.
    const isLate = () => within?.admit(job) === false;
    if (job.isLoneSuspect && isLate()) return this.giveBack(claim);
    const attempt = await claims.begin(claim, { onThrough, onSettled: settled }).catch(async (error: unknown) => {
      options.health.failed(error);
      await claims.giveBack(claim).catch(() => {});
      return undefined;
    });
    if (!attempt) return undefined;
    if (!job.isLoneSuspect && isLate()) return this.giveBack(claim);
    await perform(attempt).catch((error: unknown) =>
      options.host.report('An attempt ended in a way that it must not', error),
    );
    claims.abandon(claim);
    return attempt.delivery.key;
  }

  private async giveBack(claim: HeldClaim<ClaimedJob>): Promise<undefined> {
    await this.claims.giveBack(claim).catch((error: unknown) => this.options.health.failed(error));
  }

  /** Listens from when the first callback works. An instance that works on none needs no notifications. */
  private listen(): void {
    if (this.unlisten) return;
    const { calls, workers, hearing, options } = this;
    const onGap = () => {
      workers.wakeAll();
      hearing.begin();
    };
    const listening = options.connection.listen(options.channel, (payload) => calls.hear(payload), onGap);
    // Without notifications, this instance looks each second.
    listening.catch((error: unknown) => options.health.failed(error));
    this.unlisten = () => listening.then((end) => end());
  }
}
