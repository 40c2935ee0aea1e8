/** What `lockFolder()` promises: one process a folder, and no lock that outlives its holder. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { lockFolder } from 'nestjs-callbacks/postgres';
import { until } from '../support/app.js';

describe('The lock of a folder', () => {
  let folder: string;
  let file: string;
  const holder = (change: object) =>
    JSON.stringify({ pid: process.pid, host: hostname(), started: 'never', ...change });
  beforeEach(() => {
    folder = join(mkdtempSync(join(tmpdir(), 'lock-')), 'deliveries');
    mkdirSync(folder);
    file = join(folder, 'nestjs-callbacks.lock');
  });
  afterEach(() => rmSync(join(folder, '..'), { recursive: true }));

  it('is refused to a second one in this process, and free again afterwards', async () => {
    const unlock = await lockFolder(folder);
    await expect(lockFolder(folder)).rejects.toThrow('is in use by another application in this process');
    unlock();
    (await lockFolder(folder))();
  });

  it('is one, by whatever path the folder is reached', async () => {
    const link = join(folder, '..', 'link');
    symlinkSync(folder, link);
    const unlock = await lockFolder(folder);
    await expect(lockFolder(link)).rejects.toThrow('is in use by another application in this process');
    unlock();
    (await lockFolder(link))();
  });

  it('is not given up by one who has lost it to another', async () => {
    const unlock = await lockFolder(folder);
    rmSync(file);
    const unlockOther = await lockFolder(folder);
    unlock();
    expect(existsSync(file)).toBe(true);
    unlockOther();
    expect(existsSync(file)).toBe(false);
  });

  it('is taken over though somebody died while taking it over', async () => {
    writeFileSync(file, holder({ pid: 2 ** 22 + 1 }));
    mkdirSync(`${file}.takeover`);
    const longAgo = new Date(Date.now() - 20_000);
    utimesSync(`${file}.takeover`, longAgo, longAgo);
    const taken = (await Promise.allSettled(Array.from({ length: 20 }, () => lockFolder(folder)))).filter(
      (result) => result.status === 'fulfilled',
    );
    expect(taken).toHaveLength(1);
    taken[0].value();
    expect(existsSync(`${file}.takeover`)).toBe(false);
  });

  it('goes to one of many who ask at once', async () => {
    writeFileSync(file, holder({ pid: 2 ** 22 + 1 }));
    const taken = (await Promise.allSettled(Array.from({ length: 20 }, () => lockFolder(folder)))).filter(
      (result) => result.status === 'fulfilled',
    );
    expect(taken).toHaveLength(1);
    taken[0].value();
  });

  it.each<[string, object]>([
    ['a process that is no more', { pid: 2 ** 22 + 1 }],
    ['a process whose id another has now', {}],
    ['nobody', { pid: 0 }],
  ])('of %s is taken over', async (_, change) => {
    writeFileSync(file, holder(change));
    const unlock = await lockFolder(folder);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ pid: process.pid });
    unlock();
  });

  (existsSync('/proc/self/stat') ? it : it.skip)(
    'of a killed process that nobody has asked about is taken over',
    async () => {
      // The shell goes on as another program, which does not know that it has a child: as in a container without an init.
      const parent = spawn('sh', [
        '-c',
        '"$0" -e "setInterval(() => {}, 1000)" & echo $!; exec sleep 600',
        process.execPath,
      ]);
      try {
        const [line] = (await once(parent.stdout, 'data')) as [Buffer];
        const pid = Number(line.toString());
        const fields = () => readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
        const started = `${fields()[19]} after boot ${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}`;
        writeFileSync(file, holder({ pid, started }));
        await expect(lockFolder(folder)).rejects.toThrow(`is in use by process ${pid}`);
        process.kill(pid, 'SIGKILL');
        await until(() => fields()[0] === 'Z');
        (await lockFolder(folder))();
      } finally {
        parent.kill('SIGKILL');
      }
    },
  );

  it('of another host is respected while it gives signs of life', async () => {
    writeFileSync(file, holder({ host: 'elsewhere', pid: 7 }));
    await expect(lockFolder(folder)).rejects.toThrow('is in use by process 7 of elsewhere');
    const longAgo = new Date(Date.now() - 120_000);
    utimesSync(file, longAgo, longAgo);
    (await lockFolder(folder))();
  });

  it('that its writer did not live to fill is taken over after a while', async () => {
    writeFileSync(file, '');
    const longAgo = new Date(Date.now() - 20_000);
    utimesSync(file, longAgo, longAgo);
    (await lockFolder(folder))();
  });

  it('is not taken for one when it is something else', async () => {
    writeFileSync(file, 'my shopping list');
    await expect(lockFolder(folder)).rejects.toThrow(
      'nestjs-callbacks.lock is not a lock of this package. Look at what made it',
    );
  });
});
