/** What nobody reads on a Redis server who has no codec. */
import { it } from '@jest/globals';
import { describeWith, findRedis } from '../support/servers.js';
import { keepsSecrets } from '../support/sealed.js';
import { sceneOn } from './scene.js';

describeWith('On a Redis server (REDIS_URL, or the local one)', await findRedis(), (url) => {
  const scene = sceneOn(url);

  /** All of a key, whatever it holds. */
  async function read(key: string): Promise<unknown> {
    const { client } = scene;
    switch (await client.type(key)) {
      case 'hash':
        return client.hgetall(key);
      case 'list':
        return client.lrange(key, 0, -1);
      case 'set':
        return client.smembers(key);
      case 'zset':
        return client.zrange(key, 0, -1);
      case 'stream':
        return client.xrange(key, '-', '+');
      default:
        return client.get(key);
    }
  }

  it('arguments and texts of errors are readable in no key, BullMQ’s stream of events included, nor in the log', async () => {
    await keepsSecrets(scene.options(), async () => {
      const keys = await scene.client.keys(`${scene.prefix}:*`);
      return JSON.stringify(await Promise.all(keys.map(async (key) => [key, await read(key)])));
    });
  });
});
