import { type EngineHealth, HeldClaims } from '../engine/index.js';
import type { Client } from './connections.js';
import { JobAttempt, type TakenJob, type Taker } from './job-attempt.js';

/** The jobs that this instance performs: renews its locks on them. */
export class Claims {
  private readonly held: HeldClaims<TakenJob>;

  constructor(
    client: Client,
    leaseMs: number,
    private readonly keepCompletedMs: number,
    private readonly health: EngineHealth,
  ) {
    this.held = new HeldClaims<TakenJob>({
      leaseMs,
      health,
      renew: (jobs) => renew(client, jobs, leaseMs),
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

/**
 * As BullMQ renews a lock, but without setting it: where the memory is full, Redis refuses that, and what lives would be
 * performed again.
 */
const RENEW = `
  local held = {}
  for i = 2, #KEYS do
    local token, id = ARGV[2 * i - 2], ARGV[2 * i - 1]
    held[i - 1] = redis.call('get', KEYS[i]) == token and redis.call('pexpire', KEYS[i], ARGV[1]) or 0
    if held[i - 1] == 1 then redis.call('srem', KEYS[1], id) end
  end
  return held`;

/** Of each, whether its lock is ours still. */
async function renew(client: Client, jobs: readonly TakenJob[], leaseMs: number): Promise<boolean[]> {
  const held = new Set<TakenJob>();
  const renewing = [...new Set(jobs.map(({ queue }) => queue))].map(async (queue) => {
    const some = jobs.filter((job) => job.queue === queue);
    const keys = [queue.keys.stalled, ...some.map(({ id }) => `${queue.toKey(id)}:lock`)];
    const values = some.flatMap(({ token, id }) => [token, id]);
    const areHeld = (await client.eval(RENEW, keys.length, ...keys, leaseMs, ...values)) as number[];
    some.forEach((job, index) => areHeld[index] === 1 && held.add(job));
  });
  await Promise.all(renewing);
  return jobs.map((job) => held.has(job));
}
