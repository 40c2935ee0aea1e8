/** What is put into CLS in one process is found in another: at each attempt, after a commit, and when a worker was killed. */
import { afterAll, afterEach, expect, it } from '@jest/globals';
import { until } from '../support/app.js';
import type { Running } from '../support/child-process.js';
import { describeWith, findPostgres, findRedis } from '../support/servers.js';
import { sceneOn as postgresSceneOn } from '../postgres/scene.js';
import { sceneOn as redisSceneOn } from '../redis/scene.js';
import { Programs } from './programs.js';

const programs = new Programs();
afterAll(() => programs.remove());

/** @param placeOf where the deliveries of a test are */
function carriesContext(kind: string, url: string, placeOf: () => string) {
  let instances: Running[] = [];
  const start = (purpose: 'web' | 'worker') => {
    const instance = programs.start('instance-program', kind, url, placeOf(), purpose);
    instances.push(instance);
    return instance;
  };
  async function kill(instance: Running) {
    instance.kill('SIGKILL');
    await instance.ended;
  }
  // Before the scene takes the place away.
  afterEach(async () => {
    await Promise.all(instances.map(kill));
    instances = [];
  });

  /** Posts requests to an instance that does no work. */
  async function startWeb() {
    const web = start('web');
    await web.printed(', listening');
    const port = /port (\d+),/.exec(web.output)![1];
    return async (what: string, tenant: string) => {
      const headers = { 'x-tenant': tenant };
      const { status } = await fetch(`http://127.0.0.1:${port}/${what}`, { method: 'POST', headers });
      expect(status).toBe(201);
    };
  }

  /** What an instance has found. */
  const foundBy = ({ output }: Running) => output.trim().split('\n').toSorted();

  it('another process finds the tenant of a request at each attempt, and after a commit', async () => {
    const post = await startWeb();
    const worker = start('worker');
    await post('rolls%20back', 'acme');
    await post('commits', 'acme');
    await post('fails', 'acme');
    await post('fails', 'globex');

    const lines = ['commits: attempt 1 of acme'];
    for (const tenant of ['acme', 'globex']) {
      for (const attempt of [1, 2, 3]) lines.push(`fails: attempt ${attempt} of ${tenant}`);
    }
    await until(() => foundBy(worker).length >= lines.length);
    expect(foundBy(worker)).toEqual(lines.toSorted());
  });

  it('so does the one that takes over what another was killed at', async () => {
    const post = await startWeb();
    const first = start('worker');
    await post('hangs', 'acme');
    await first.printed('hangs: attempt 1');
    await kill(first);

    const second = start('worker');
    await post('follows', 'globex');
    await until(() => foundBy(second).length >= 2);
    expect(foundBy(second)).toEqual(['follows: attempt 1 of globex', 'hangs: attempt 2 of acme']);
  });
}

describeWith('On a Postgres server (DATABASE_URL, or the local one),', await findPostgres(), (url) => {
  const scene = postgresSceneOn(url);
  carriesContext('postgres', url, () => scene.schema);
});

describeWith('On a Redis server (REDIS_URL, or the local one),', await findRedis(), (url) => {
  const scene = redisSceneOn(url);
  carriesContext('redis', url, () => scene.prefix);
});
