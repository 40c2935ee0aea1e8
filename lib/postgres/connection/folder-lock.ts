import { timers } from '../../engine/index.js';
import { randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';

const { clearInterval, setInterval, sleep } = timers;

const SIGN_OF_LIFE_MS = 5_000;
/** A process of another host, or container, cannot be looked up: it counts as ended when it has given no sign for so long. */
const SILENCE_MS = 60_000;
/** Taking over takes microseconds. */
const TAKEOVER_MS = 10_000;
const PAUSE_MS = 20;

/** Who holds a lock. */
interface Holder {
  readonly pid: number;
  readonly host: string;
  /** When that process started, as the system tells it, where it does: process ids are used again. */
  readonly started: string;
  /** Tells this lock from others of the same process. */
  readonly lock: string;
}

const NOBODY: Holder = { pid: 0, host: hostname(), started: '', lock: '' };

/** Within the folder, which may be reached by several paths. */
const NAME = 'nestjs-callbacks.lock';

/**
 * For an application that opens PGlite itself, as `postgres({ folder })` does for those that leave it to the engine:
 * PGlite takes no lock of its own, and two processes on one folder lose each other's rows. This refuses the second, with
 * the id of the first, and takes over the lock of a process that is no more.
 *
 * @returns what gives the folder free again, to be called when the database is closed
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
      return holding(folder, file, own);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const holder = read(file);
    if (holder && isAlive(holder, file)) {
      throw new Error(
        `The folder ${folder} is in use by process ${holder.pid}${holder.host === hostname() ? '' : ` of ${holder.host}`}: ` +
          `an embedded database serves one process. Stop that one, choose another folder, or use a Postgres server.`,
      );
    }
    if (!holder || !takeOver(file)) await sleep(PAUSE_MS);
  }
}

function holding(folder: string, file: string, own: string): () => void {
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
        // Removed in this very moment, as the next look will find.
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

/** `undefined` when it is just being written, or was just given up. */
function read(file: string): Holder | undefined {
  try {
    const text = readFileSync(file, 'utf8');
    // Its writer died between making and filling it.
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

/** Removes the lock of a process that is no more; of those that want to, one at a time, each after another look. */
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

/** Another process may have been quicker. */
const remove = (guard: string) => rmSync(guard, { recursive: true, force: true });

/** Linux tells when a process started; elsewhere only our own is known. */
function startOf(pid: number): string {
  try {
    // Ticks since boot, behind a name in parentheses that may hold anything.
    const ticks = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ')[19];
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
