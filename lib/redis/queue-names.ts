import type { Client } from './connections.js';

/** Names queues that applications have who do not perform what lies there: remote ones are those that nobody else has named. */
const NAME_REMOTE = `
  for _, name in ipairs(ARGV) do
    if redis.call('sadd', KEYS[1], name) == 1 then redis.call('sadd', KEYS[2], name) end
  end`;

/** The names of all queues, as the instances have told the server. */
export class QueueNames {
  /** The key of the set of them. */
  readonly key: string;
  /** The key of the set of the remote ones among them. */
  readonly remoteKey: string;
  private readonly own = new Set<string>();
  private readonly remote = new Set<string>();

  constructor(
    private readonly client: Client,
    prefix: string,
  ) {
    this.key = `${prefix}:addresses`;
    this.remoteKey = `${prefix}:remote-addresses`;
  }

  /** @param isRemote whether another application performs what lies there */
  add(name: string, isRemote: boolean): void {
    (isRemote ? this.remote : this.own).add(name);
  }

  /** Has all that look through the queues find those of this instance. */
  async tell(): Promise<void> {
    if (this.own.size > 0) {
      await this.client.sadd(this.key, ...this.own);
      await this.client.srem(this.remoteKey, ...this.own);
    }
    if (this.remote.size > 0) await this.client.eval(NAME_REMOTE, 2, this.key, this.remoteKey, ...this.remote);
  }

  /** All; also those that this instance does not know, or that the server has forgotten. */
  async all(): Promise<string[]> {
    const named = await this.client.smembers(this.key);
    return [...new Set([...named, ...this.own, ...this.remote])];
  }

  /** Those whose own application has not been here yet. */
  async allRemote(): Promise<string[]> {
    return await this.client.smembers(this.remoteKey);
  }
}
