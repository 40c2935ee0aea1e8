import { mkdirSync, readFileSync, rmdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname, resolve } from 'node:path';
// Not the global ones, which fake timers replace.
import { clearInterval, setInterval } from 'node:timers';
import { setTimeout as sleep } from 'node:timers/promises';

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
}

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
  const file = `${resolve(folder)}.lock`;
  const own = JSON.stringify({ pid: process.pid, host: hostname(), started: startOf(process.pid) } satisfies Holder);
  mkdirSync(dirname(file), { recursive: true });
  for (;;) {
    try {
      writeFileSync(file, own, { flag: 'wx' });
      return holding(file);
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

function holding(file: string): () => void {
  const timer = setInterval(() => {
    const now = new Date();
    try {
      utimesSync(file, now, now);
    } catch {
      // Somebody removed it by hand.
    }
  }, SIGN_OF_LIFE_MS).unref();
  return () => {
    clearInterval(timer);
    rmSync(file, { force: true });
  };
}

/** `undefined` when it is just being written, or was just given up. */
function read(file: string): Holder | undefined {
  try {
    const text = readFileSync(file, 'utf8');
    // Its writer died between making and filling it.
    if (text === '' && ageOf(file) > TAKEOVER_MS) return { pid: 0, host: hostname(), started: '' };
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
  } catch {
    if (ageOf(guard) > TAKEOVER_MS) rmdirSync(guard);
    return false;
  }
  try {
    const holder = read(file);
    if (holder && !isAlive(holder, file)) rmSync(file);
    return true;
  } finally {
    rmdirSync(guard);
  }
}

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
