import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const held = new Set<string>();

/**
 * PGlite takes no lock of its own, and two processes on one folder lose each other's rows. This refuses the second,
 * and takes over the lock of a process that is no more.
 */
export function lockFolder(folder: string): () => void {
  const file = join(folder, 'lock');
  for (;;) {
    try {
      writeFileSync(file, String(process.pid), { flag: 'wx' });
      held.add(file);
      return () => {
        held.delete(file);
        rmSync(file, { force: true });
      };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      const holder = Number(readFileSync(file, 'utf8'));
      // Our own id in a file that is not ours is an earlier process's: ids are used again.
      if (holder === process.pid ? held.has(file) : isRunning(holder)) {
        throw new Error(
          `${folder} is in use by process ${holder}. Stop that one first, name another folder with DATA_FOLDER, ` +
            'or share a Postgres server with DATABASE_URL.',
          { cause: error },
        );
      }
      rmSync(file, { force: true });
    }
  }
}

function isRunning(pid: number): boolean {
  if (!(pid > 0)) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
