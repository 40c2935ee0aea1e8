import type { EngineHealth } from './engine-health.js';
import { LazyAbort } from '../async/lazy-abort.js';
import { clearInterval, clearTimeout, setInterval, setTimeout, sleep } from '../async/timers.js';

/** Says how claims are renewed, and how long they last. */
export interface ClaimsOptions<Claimed> {
  /** How long a claim lasts that is not renewed, in milliseconds. */
  readonly leaseMs: number;
  /** Whether another instance could take what was not renewed. @default true */
  readonly expires?: boolean;
  readonly health: EngineHealth;
  /** Renews claims, and says of each whether it is held still. */
  renew(claimed: readonly Claimed[]): Promise<readonly boolean[]>;
  /** The name in messages: `delivery … to Emails.greet`. */
  describe(claimed: Claimed): string;
}

const PAUSE_MS = 250;
/** How long an instance tries to write down how an attempt ended, while the store is away. */
const PATIENCE_MS = 120_000;
/** The share of a lease after which a claim counts as lost: an attempt must know that before another instance can claim. */
const SURE_SHARE = 0.9;

/** A claim of this instance, until it is settled, or has run out. */
export class HeldClaim<Claimed> {
  /** @internal */
  readonly abort = new LazyAbort();
  /** How many callers are settling it at this moment. */
  settling = 0;

  constructor(
    readonly claimed: Claimed,
    /** When this instance was last sure to have it. */
    public renewedAt: number,
  ) {}

  /** Aborts when this instance is no longer sure to have it. */
  get signal(): AbortSignal {
    return this.abort.signal;
  }
}

/**
 * Keeps the claims of an instance: renews them, tells in time that one is lost, and goes on trying to settle them while the
 * store is away.
 */
export class HeldClaims<Claimed> {
  private readonly claims = new Set<HeldClaim<Claimed>>();
  private renewal: NodeJS.Timeout | undefined;
  private readonly lastsMs: number;
  private expiry: NodeJS.Timeout | undefined;
  private isRenewing = false;
  private hasStopped = false;

  constructor(private readonly options: ClaimsOptions<Claimed>) {
    this.lastsMs = options.leaseMs * SURE_SHARE;
  }

  /** Everything that this instance has claimed, also what was not renewed in time. */
  get all(): Claimed[] {
    return [...this.claims].map(({ claimed }) => claimed);
  }

  /** @param claimedAt when it was asked for, by `performance.now()`: no claim is older */
  hold(claimed: Claimed, claimedAt: number): HeldClaim<Claimed> {
    const claim = new HeldClaim(claimed, claimedAt);
    this.claims.add(claim);
    this.expiry ??= this.expireIn(claim);
    if (!this.hasStopped) this.renewal ??= setInterval(() => void this.renew(), this.options.leaseMs / 4).unref();
    return claim;
  }

  /**
   * Writes down what becomes of a claim, again and again while that fails.
   *
   * @param write resolves to whether the claim was still ours, so that it could be written down
   * @returns the same; `false` for a claim that is settled already
   */
  async settle(claim: HeldClaim<Claimed>, write: () => Promise<boolean>): Promise<boolean> {
    if (!this.claims.has(claim)) return false;
    claim.settling++;
    try {
      const wasOurs = await this.insist(claim, write);
      if (wasOurs) this.claims.delete(claim);
      return wasOurs;
    } finally {
      claim.settling--;
      this.abandon(claim);
    }
  }

  /** Renews it no more. A claim that is being settled is kept until that is known. */
  abandon(claim: HeldClaim<Claimed>): void {
    if (claim.settling === 0) this.claims.delete(claim);
  }

  stop(): void {
    this.hasStopped = true;
    clearInterval(this.renewal);
    clearTimeout(this.expiry);
  }

  private async insist(claim: HeldClaim<Claimed>, write: () => Promise<boolean>): Promise<boolean> {
    const startedAt = performance.now();
    for (;;) {
      try {
        return await write();
      } catch (error) {
        if (this.hasStopped || claim.abort.isAborted || performance.now() - startedAt > PATIENCE_MS) throw error;
      }
      await sleep(PAUSE_MS);
    }
  }

  private async renew(): Promise<void> {
    if (this.claims.size === 0) {
      clearInterval(this.renewal);
      this.renewal = undefined;
    }
    if (this.isRenewing || this.claims.size === 0) return;
    this.isRenewing = true;
    const sentAt = performance.now();
    const claims = [...this.claims];
    try {
      const areHeld = await this.options.renew(claims.map(({ claimed }) => claimed));
      claims.forEach((claim, index) => {
        if (areHeld[index]) claim.renewedAt = sentAt;
        else this.lose(claim, 'has been taken by another instance');
      });
    } catch (error) {
      this.options.health.failed(error);
    }
    this.isRenewing = false;
  }

  /** Sets the timer for the claim that runs out first; the next one follows from there. */
  private expireIn({ renewedAt }: HeldClaim<Claimed>): NodeJS.Timeout | undefined {
    if (this.options.expires === false || this.hasStopped) return undefined;
    return setTimeout(() => this.expire(), Math.max(0, renewedAt + this.lastsMs - performance.now())).unref();
  }

  /** Gives up claims that could not be renewed in time. */
  private expire(): void {
    const now = performance.now();
    let oldest: HeldClaim<Claimed> | undefined;
    for (const claim of this.claims) {
      if (claim.abort.isAborted) continue;
      if (now - claim.renewedAt >= this.lastsMs) this.lose(claim, 'could not be renewed');
      else if (!oldest || claim.renewedAt < oldest.renewedAt) oldest = claim;
    }
    this.expiry = oldest && this.expireIn(oldest);
  }

  /** It may have been settled in the meantime: then nobody listens any more. */
  private lose(claim: HeldClaim<Claimed>, what: string): void {
    if (!this.claims.has(claim)) return;
    const delivery = this.options.describe(claim.claimed);
    claim.abort.abort(new Error(`The claim on ${delivery} ${what}, so it may be performed elsewhere`));
  }
}
