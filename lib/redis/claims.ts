import { type EngineHealth, HeldClaims } from '../engine/index.js';
import type { Client } from './connections.js';
import { JobAttempt, type TakenJob, type Taker } from './job-attempt.js';

/** Renews the locks on the jobs that this instance performs. */
export class Claims {
  private readonly claims: HeldClaims<TakenJob>;

  constructor(
    private readonly client: Client,
    leaseMs: number,
    private readonly keepCompletedMs: number,
    private readonly instance: string,
    private readonly health: EngineHealth,
  ) {
    this.claims = new HeldClaims<TakenJob>({
      leaseMs,
      health,
      renew: (jobs) => renew(client, jobs, leaseMs),
      describe: ({ id, address }) => `delivery ${id} to ${address.callback}`,
    });
  }

  /** Makes the attempt at a job that was taken, for the application to perform. */
  attemptAt(taken: TakenJob, taker: Taker): JobAttempt {
    const { claims, client, keepCompletedMs, instance, health } = this;
    return new JobAttempt(taken, taker, { claims, client, keepCompletedMs, instance, health });
  }

  stop(): void {
    this.claims.stop();
  }
}

/**
 * Renews locks as BullMQ does, but without setting them. Where the memory is full, Redis refuses to set a key, and then
 * somebody else would perform what still runs here.
 */
const RENEW = `
  local ours = {}
  for i = 2, #KEYS do
    local token, id = ARGV[2 * i - 2], ARGV[2 * i - 1]
    ours[i - 1] = redis.call('get', KEYS[i]) == token and redis.call('pexpire', KEYS[i], ARGV[1]) or 0
    if ours[i - 1] == 1 then redis.call('srem', KEYS[1], id) end
  end
  return ours`;

/** Answers for each job whether its lock is still ours. */
async function renew(client: Client, jobs: readonly TakenJob[], leaseMs: number): Promise<boolean[]> {
  const ours = new Set<TakenJob>();
  const renewing = [...new Set(jobs.map(({ queue }) => queue))].map(async (queue) => {
    const some = jobs.filter((job) => job.queue === queue);
    const keys = [queue.keys.stalled, ...some.map(({ id }) => `${queue.toKey(id)}:lock`)];
    const values = some.flatMap(({ token, id }) => [token, id]);
    const areOurs = (await client.eval(RENEW, keys.length, ...keys, leaseMs, ...values)) as number[];
    some.forEach((job, index) => areOurs[index] === 1 && ours.add(job));
  });
  await Promise.all(renewing);
  return jobs.map((job) => ours.has(job));
}
