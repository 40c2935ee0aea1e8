import { type EngineHealth, HeldClaims } from '../index.js';
import { JobAttempt, type TakenJob, type Taker } from './job-attempt.js';

/** The jobs that this instance performs: renews its locks on them. */
export class Claims {
  private readonly held: HeldClaims<TakenJob>;

  constructor(
    leaseMs: number,
    private readonly keepCompletedMs: number,
    private readonly health: EngineHealth,
  ) {
    this.held = new HeldClaims<TakenJob>({
      leaseMs,
      health,
      renew: (jobs) => renew(jobs, leaseMs),
      describe: ({ id, address }) => `delivery ${id} to ${address.callback}`,
    });
  }

  /** What is performed of a job that was taken. */
  attemptAt(taken: TakenJob, taker: Taker): JobAttempt {
    return new JobAttempt(taken, taker, this.held, this.keepCompletedMs, this.health);
  }

  stop(): void {
    this.held.stop();
  }
}

/** Of each, whether its lock is ours still. */
async function renew(jobs: readonly TakenJob[], leaseMs: number): Promise<boolean[]> {
  const lost = new Set<TakenJob>();
  const renewing = [...new Set(jobs.map(({ queue }) => queue))].map(async (queue) => {
    const some = jobs.filter((job) => job.queue === queue);
    // BullMQ answers by ids, and one that was lost may have been taken here again.
    const latest = new Map(some.map((job) => [job.id, job]));
    const [ids, tokens] = [[...latest.keys()], [...latest.values()].map(({ token }) => token)];
    const idsLost = await queue.extendLocks(ids, tokens, leaseMs);
    for (const job of some) if (job !== latest.get(job.id) || idsLost.includes(job.id)) lost.add(job);
  });
  await Promise.all(renewing);
  return jobs.map((job) => !lost.has(job));
}
