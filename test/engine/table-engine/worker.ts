import { randomUUID } from 'node:crypto';
import {
  addressName,
  type DurableCallback,
  Duty,
  type EngineAttempt,
  type EngineHealth,
  type HeldClaim,
  HeldClaims,
  type Quarantine,
  timers,
} from 'nestjs-callbacks/engine';
import { type ClaimedRow, deliveryOf, type Table } from './table.js';

/** How often a worker looks for what others have stored, and for what has become due. */
const LOOK_MS = 200;
/** How long an instance has the duty that does not renew it. */
const DUTY_MS = 2_000;

/** What an instance has claimed: renewed until it is settled. */
export const claimsOn = (table: Table, leaseMs: number, health: EngineHealth) =>
  new HeldClaims<ClaimedRow>({
    leaseMs,
    health,
    renew: (rows) => table.renew(rows),
    describe: (row) => `delivery ${row.id} to ${addressName(row)}`,
  });

/** Has one instance forget what was completed long ago. */
export function dutyOn(table: Table, health: EngineHealth): Duty {
  const id = randomUUID();
  return new Duty({
    take: async () => ({ isHeld: await table.takeDuty(id, DUTY_MS) }),
    work: () => table.forget(),
    leave: () => table.leaveDuty(id),
    everyMs: DUTY_MS / 2,
    health,
  });
}

/** What all workers of an instance share. */
export interface Started {
  readonly table: Table;
  readonly duty: Duty;
  readonly claims: HeldClaims<ClaimedRow>;
  readonly health: EngineHealth;
  readonly quarantine: Quarantine;
}

/** Takes the deliveries of one callback, so many at a time, and has each performed. */
export class Worker {
  private readonly timer = timers.setInterval(() => void this.look(), LOOK_MS).unref();
  private running = 0;
  private looking: Promise<void> | undefined;
  private hasStopped = false;

  constructor(
    private readonly started: Started,
    private readonly callback: DurableCallback,
    private readonly perform: (attempt: EngineAttempt) => Promise<void>,
  ) {}

  /** Begins all that may begin now. */
  look(): Promise<void> {
    this.looking ??= this.begin().finally(() => (this.looking = undefined));
    return this.looking;
  }

  /** Resolves when no attempt can begin any more. */
  async stop(): Promise<void> {
    this.hasStopped = true;
    timers.clearInterval(this.timer);
    await this.looking;
  }

  /** The suspect of another worker is through. */
  wake(): void {
    void this.look();
  }

  private async begin(): Promise<void> {
    const { table, claims, health, quarantine } = this.started;
    const free = this.callback.concurrency - this.running;
    if (this.hasStopped || free <= 0) return;
    const askedAt = performance.now();
    const mayTakeSuspect = quarantine.tryEnter();
    if (!mayTakeSuspect) quarantine.waitFor(this);
    let hasTakenSuspect = false;
    try {
      await table.adopt(this.callback);
      for (const row of await table.claim(
        this.callback,
        free,
        mayTakeSuspect ? { isAlone: quarantine.isForOne } : undefined,
      )) {
        hasTakenSuspect ||= row.is_suspect;
        void this.attempt(row, claims.hold(row, askedAt));
      }
      health.works();
    } catch (error) {
      // It looks again, and insists no more than that.
      health.failed(error);
    }
    if (mayTakeSuspect && !hasTakenSuspect) quarantine.leave('none');
  }

  private async attempt(row: ClaimedRow, claim: HeldClaim<ClaimedRow>): Promise<void> {
    this.running++;
    let isSuspect = row.is_suspect;
    const leaveQuarantine = () => {
      if (isSuspect) this.started.quarantine.leave('ended');
      isSuspect = false;
    };
    await this.perform(attemptAt(row, claim, this.started, leaveQuarantine));
    leaveQuarantine();
    this.started.claims.abandon(claim);
    this.running--;
    void this.look();
  }
}

function attemptAt(
  row: ClaimedRow,
  claim: HeldClaim<ClaimedRow>,
  { table, claims }: Started,
  onSettled: () => void,
): EngineAttempt {
  const settle = (write: () => Promise<boolean>) => claims.settle(claim, write).finally(onSettled);
  return {
    delivery: deliveryOf(row),
    attempt: row.attempts,
    charged: row.attempts - row.spared,
    signal: claim.signal,
    complete: () => settle(() => table.complete(row)),
    retryIn: (ms, error) => settle(() => table.retryIn(row, ms, error)),
    bury: (error) => settle(() => table.bury(row, error)),
    release: () => settle(() => table.release(row)),
    completeIn: (transaction) => table.completeIn(row, transaction),
  };
}
