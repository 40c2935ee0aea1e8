import { randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { timers } from '../../engine/index.js';

const { clearInterval, setInterval, sleep } = timers;

const SIGN_OF_LIFE_MS = 5_000;
/** A process of another host or container cannot be looked up. After so long without a sign of life, it counts as ended. */
const SILENCE_MS = 60_000;
/** Taking a lock over takes microseconds. Whoever needs longer has died meanwhile. */
const TAKEOVER_MS = 10_000;
const PAUSE_MS = 20;

/** The process that has a lock. */
interface Holder {
  readonly pid: number;
  readonly host: string;
  /** When that process started, where the system tells it. A system uses the ids of ended processes again. */
  readonly started: string;
  /** Tells this lock from others of the same process. */
  readonly lock: string;
}

const NOBODY: Holder = { pid: 0, host: hostname(), started: '', lock: '' };

/** The lock lies within the folder, because several paths may lead to that. */
const NAME = 'nestjs-callbacks.lock';

/**
 * Locks a folder for an application that opens PGlite itself. `postgres({ folder })` does so by itself. PGlite takes no
 * lock of its own, and two processes on one folder lose each other's rows. This refuses the second process, with the id of
 * the first, and takes over the lock of a process that is no more.
 *
 * @returns what unlocks the folder, to be called when the database is closed
 * @example
 * const unlock = await lockFolder('.data');
 * const pglite = await PGlite.create('.data');
 */
export async function lockFolder(folder: string): Promise<() => void> {
  const file = join(folder, NAME);
  const self = { pid: process.pid, host: hostname(), started: startOf(process.pid), lock: randomUUID() };
  const own = JSON.stringify(self satisfies Holder);
  mkdirSync(folder, { recursive: true });
  for (;;) {
    try {
      writeFileSync(file, own, { flag: 'wx' });
      return keepLock(folder, file, own);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const holder = read(file);
    if (holder && isAlive(holder, file)) {
      if (holder.pid === process.pid && holder.host === hostname()) {
        throw new Error(
          `The folder ${folder} is in use by another application in this process. Close that one first, or give each a folder of its own.`,
        );
      }
      throw new Error(
        `The folder ${folder} is in use by process ${holder.pid}${holder.host === hostname() ? '' : ` of ${holder.host}`}: ` +
          `an embedded database serves one process. Stop that one, choose another folder, or use a Postgres server.`,
      );
    }
    if (!holder || !takeOver(file)) await sleep(PAUSE_MS);
  }
}

/** Keeps a lock alive, and says when it was lost. */
function keepLock(folder: string, file: string, own: string): () => void {
  const isOwn = () => {
    try {
      return readFileSync(file, 'utf8') === own;
    } catch {
      return false;
    }
  };
  const timer = setInterval(() => {
    if (isOwn()) {
      const now = new Date();
      try {
        utimesSync(file, now, now);
      } catch {
        // Somebody removed the file just now. The next look will find that.
      }
      return;
    }
    clearInterval(timer);
    process.emitWarning(
      `The folder ${folder} is no longer locked by process ${process.pid}: somebody has removed ${file}, or has taken it ` +
        'over while this process was silent. Stop one of the two, before they lose rows of each other.',
    );
  }, SIGN_OF_LIFE_MS).unref();
  return () => {
    clearInterval(timer);
    if (isOwn()) rmSync(file, { force: true });
  };
}

/** Reads who has a lock. `undefined` means that it is just being written, or was just given up. */
function read(file: string): Holder | undefined {
  try {
    const text = readFileSync(file, 'utf8');
    // Its writer died after making it and before filling it.
    if (text === '' && ageOf(file) > TAKEOVER_MS) return NOBODY;
    return text === '' ? undefined : (JSON.parse(text) as Holder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new Error(`${file} is not a lock of this package. Look at what made it, and remove it.`, { cause: error });
  }
}

function isAlive({ pid, host, started }: Holder, file: string): boolean {
  if (host !== hostname()) return ageOf(file) < SILENCE_MS;
  if (!(pid > 0)) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  return startOf(pid) === started;
}

/**
 * Removes the lock of a process that is no more. Only one process at a time may do so, after looking again.
 *
 * @returns whether it was this one's turn
 */
function takeOver(file: string): boolean {
  const guard = `${file}.takeover`;
  try {
    mkdirSync(guard);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    if (ageOf(guard) > TAKEOVER_MS) remove(guard);
    return false;
  }
  try {
    const holder = read(file);
    if (holder && !isAlive(holder, file)) rmSync(file);
    return true;
  } finally {
    remove(guard);
  }
}

/** Removes a guard, which another process may already have done. */
const remove = (guard: string) => rmSync(guard, { recursive: true, force: true });

/** States of a process that has ended, and has an id until its parent asks how: in a container, nobody may ever ask. */
const ENDED = ['Z', 'X'];

/**
 * Tells when a process started, on Linux, and that it has ended, though it has its id yet. Elsewhere it cannot tell, so a lock
 * counts as alive while its process id is.
 */
function startOf(pid: number): string {
  try {
    // The state, and the start time in ticks since boot, come after a name in parentheses that may hold anything.
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(') ') + 2).split(' ');
    const [state, ticks] = [fields[0], fields[19]];
    if (ENDED.includes(state)) return 'never: it has ended';
    return `${ticks} after boot ${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}`;
  } catch {
    return '';
  }
}

function ageOf(file: string): number {
  try {
    return Date.now() - statSync(file).mtimeMs;
  } catch {
    return 0;
  }
}
