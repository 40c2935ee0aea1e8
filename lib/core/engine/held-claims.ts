import type { EngineHealth } from './engine-health.js';
import { LazyAbort } from '../async/lazy-abort.js';
import { clearInterval, clearTimeout, setInterval, setTimeout, sleep } from '../async/timers.js';

/** What claims are held on, and how. */
export interface ClaimsOptions<Claimed> {
  /** How long a claim lasts that is not renewed, in milliseconds. */
  readonly leaseMs: number;
  /** Whether another instance could take what was not renewed. @default true */
  readonly expires?: boolean;
  readonly health: EngineHealth;
  /** Renews claims, and says of each whether it is held still. */
  renew(claimed: readonly Claimed[]): Promise<readonly boolean[]>;
  /** As messages name it: `delivery … to Emails.greet`. */
  describe(claimed: Claimed): string;
}

const PAUSE_MS = 250;
/** How long it is tried to say how an attempt ended, while the store is away. */
const PATIENCE_MS = 120_000;
/** Of a lease: an attempt is to know that its claim is gone before another instance can have it. */
const SURE_SHARE = 0.9;

/** What an instance has claimed, until it is settled, or the claim has run out. */
export class HeldClaim<Claimed> {
  readonly abort = new LazyAbort();
  /** How many ask at this moment that it be settled. */
  settling = 0;

  constructor(
    readonly claimed: Claimed,
    /** When it was last sure to be held. */
    public renewedAt: number,
  ) {}

  /** Aborts when it is no longer sure to be held. */
  get signal(): AbortSignal {
    return this.abort.signal;
  }
}

/**
 * The claims that an instance holds: renews them, tells in time of those that it has lost, and insists on what is to become
 * of them while the store is away.
 */
export class HeldClaims<Claimed> {
  private readonly held = new Set<HeldClaim<Claimed>>();
  private readonly renewal: NodeJS.Timeout;
  private readonly lastsMs: number;
  private expiry: NodeJS.Timeout | undefined;
  private isRenewing = false;
  private hasStopped = false;

  constructor(private readonly options: ClaimsOptions<Claimed>) {
    const { leaseMs } = options;
    this.lastsMs = leaseMs * SURE_SHARE;
    this.renewal = setInterval(() => void this.renew(), leaseMs / 4).unref();
  }

  /** What is held, also what was not renewed in time. */
  get all(): Claimed[] {
    return [...this.held].map(({ claimed }) => claimed);
  }

  /** @param claimedAt when it was asked for, by `performance.now()`: no claim is older */
  hold(claimed: Claimed, claimedAt: number): HeldClaim<Claimed> {
    const claim = new HeldClaim(claimed, claimedAt);
    this.held.add(claim);
    this.expiry ??= this.expireIn(claim);
    return claim;
  }

  /**
   * Says what becomes of a claim, again and again while that fails.
   *
   * @param write whether the claim was held, and it is written down
   * @returns the same; `false` of a claim that is settled already
   */
  async settle(claim: HeldClaim<Claimed>, write: () => Promise<boolean>): Promise<boolean> {
    if (!this.held.has(claim)) return false;
    claim.settling++;
    try {
      const hasHeld = await this.insist(claim, write);
      if (hasHeld) this.held.delete(claim);
      return hasHeld;
    } finally {
      claim.settling--;
      this.abandon(claim);
    }
  }

  /** Renews it no more. What is being settled is held until that is known. */
  abandon(claim: HeldClaim<Claimed>): void {
    if (claim.settling === 0) this.held.delete(claim);
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
    if (this.isRenewing || this.held.size === 0) return;
    this.isRenewing = true;
    const sentAt = performance.now();
    const claims = [...this.held];
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

  /** When the oldest runs out: later ones follow from there. */
  private expireIn({ renewedAt }: HeldClaim<Claimed>): NodeJS.Timeout | undefined {
    if (this.options.expires === false || this.hasStopped) return undefined;
    return setTimeout(() => this.expire(), Math.max(0, renewedAt + this.lastsMs - performance.now())).unref();
  }

  /** What could not be renewed in time counts as lost. */
  private expire(): void {
    const now = performance.now();
    let oldest: HeldClaim<Claimed> | undefined;
    for (const claim of this.held) {
      if (claim.abort.isAborted) continue;
      if (now - claim.renewedAt >= this.lastsMs) this.lose(claim, 'could not be renewed');
      else if (!oldest || claim.renewedAt < oldest.renewedAt) oldest = claim;
    }
    this.expiry = oldest && this.expireIn(oldest);
  }

  /** It may have been settled in the meantime: then nobody listens any more. */
  private lose(claim: HeldClaim<Claimed>, what: string): void {
    if (!this.held.has(claim)) return;
    const delivery = this.options.describe(claim.claimed);
    claim.abort.abort(new Error(`The claim on ${delivery} ${what}, so it may be performed elsewhere`));
  }
}
