/** Stores on which a sound engine breaks a rule of the contract. */
import { timers } from 'nestjs-callbacks/engine';
import { MemoryStore } from 'nestjs-callbacks/testing';

/** Long enough to be renewed in time though all rules are checked at once, and the machine is busy. */
export const LEASE_MS = 1_000;

type Row = MemoryStore['rows'][number];

/**
 * A store in which claims run out when they are to be renewed: from the start, or from when it is told so. Those that a rule makes
 * last longer, as the machine stood still, do so too.
 */
export class ForgetfulStore extends MemoryStore {
  constructor(public isForgetful: boolean) {
    super();
  }

  override expire(now: number, since: number): void {
    super.expire(this.isForgetful ? now + 4 * LEASE_MS : now, since);
  }
}

/** A store that stands still once, when something is performed, for as long as a claim lasts. */
export class StoreThatStoodStill extends MemoryStore {
  /** Resolves when it works again. */
  stillness: Promise<void> | undefined;

  override expire(now: number, since: number): void {
    const standsStill = !this.stillness && this.rows.some(({ claim }) => claim?.hasBegun);
    if (standsStill) this.stillness = timers.sleep(LEASE_MS);
    super.expire(standsStill ? now + LEASE_MS : now, since);
  }
}

/** A store that charges what was alone in the instance that died. */
export class SuspiciousStore extends MemoryStore {
  override expire(now: number, since: number): void {
    const spared = this.rows.map((row) => [row, row.spared] as const);
    super.expire(now, since);
    const sparedNow = spared.filter(([row, before]) => row.spared > before);
    if (sparedNow.length === 1) sparedNow[0][0].spared--;
  }
}

/** A store that spares a suspect, too, that is alone whenever it ends its instance. */
export class SparingStore extends MemoryStore {
  override expire(now: number, since: number): void {
    const alone = this.rows.filter(({ claim }) => claim?.isOnLoneSuspect && claim.hasBegun && claim.expiresAt <= now);
    super.expire(now, since);
    for (const row of alone) row.spared++;
  }
}

/** A store that charges what was given back before it began. */
export class ChargingStore extends MemoryStore {
  override giveBack(row: Row, since: number): void {
    if (row.claim && !row.claim.hasBegun) row.attempts++;
    super.giveBack(row, since);
  }
}

/** A store in which a suspect stays one. */
export class GrudgingStore extends MemoryStore {
  private readonly suspects = new Set<Row>();

  override changed(): void {
    for (const row of this.rows) {
      if (row.isSuspect) this.suspects.add(row);
      row.isSuspect = this.suspects.has(row);
    }
    super.changed();
  }
}
