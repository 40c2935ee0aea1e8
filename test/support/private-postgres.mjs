// A Postgres server of a test's own, which it may restart, kill and freeze. It takes the programs that are installed.
import { execFileSync, spawn } from 'node:child_process';
import {
  appendFileSync,
  chownSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** Where `initdb` and `pg_ctl` are, or `undefined`. */
export function findServerPrograms() {
  const folders = (process.env.PATH ?? '').split(':');
  const debian = '/usr/lib/postgresql';
  try {
    folders.push(...readdirSync(debian).map((version) => join(debian, version, 'bin')));
  } catch {
    // Not Debian's.
  }
  const found = folders.find((folder) => {
    try {
      return readdirSync(folder).includes('pg_ctl') && readdirSync(folder).includes('initdb');
    } catch {
      return false;
    }
  });
  // Only two of them may be linked to there.
  return found && dirname(realpathSync(join(found, 'initdb')));
}

/** It does not run as root: then it runs as the user that Debian makes for it, as does what stands before it. */
export function user() {
  if (process.getuid?.() !== 0) return {};
  const [, , uid, gid] = /^postgres:.*$/m.exec(readFileSync('/etc/passwd', 'utf8'))[0].split(':').map(Number);
  return { uid, gid };
}

export const freePort = () =>
  new Promise((resolve) => {
    const server = createServer();
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

export class PrivatePostgres {
  static async start() {
    const server = new PrivatePostgres(findServerPrograms(), await freePort());
    server.#run('initdb', '--no-sync', '-A', 'trust', '-U', 'postgres', '-D', server.#data);
    await server.start();
    return server;
  }

  #folder = mkdtempSync(join(tmpdir(), 'postgres-'));
  #data = join(this.#folder, 'data');
  #programs;
  #port;
  #user = user();

  constructor(programs, port) {
    this.#programs = programs;
    this.#port = port;
    if (this.#user.uid !== undefined) chownSync(this.#folder, this.#user.uid, this.#user.gid);
  }

  get port() {
    return this.#port;
  }

  get url() {
    return `postgres://postgres@127.0.0.1:${this.#port}/postgres`;
  }

  /** Another that follows this one, until it is promoted. */
  async standby() {
    const standby = new PrivatePostgres(this.#programs, await freePort());
    this.#run(
      'pg_basebackup',
      '-D',
      standby.#data,
      '-R',
      '-X',
      'stream',
      '-c',
      'fast',
      '-h',
      '127.0.0.1',
      '-p',
      `${this.#port}`,
      '-U',
      'postgres',
    );
    await standby.start();
    return standby;
  }

  /** Comes back as one that follows another, after it has ended in good order. */
  async startAfter(primary) {
    writeFileSync(join(this.#data, 'standby.signal'), '');
    const settings = `primary_conninfo = 'host=127.0.0.1 port=${primary.port} user=postgres'`;
    appendFileSync(join(this.#data, 'postgresql.auto.conf'), `${settings}\n`);
    await this.start();
  }

  /** A standby becomes a primary server. */
  promote() {
    return this.#control('promote');
  }

  async start() {
    // What a killed process has written stays, so nothing need wait for the disk.
    const options = `-F -p ${this.#port} -h 127.0.0.1 -k ${this.#folder} -N 300`;
    await this.#control('start', '-l', join(this.#folder, 'log'), '-o', options);
  }

  /** `immediate` ends it as a crash does; `fast` breaks connections off, and writes all down. */
  stop(mode = 'immediate') {
    return this.#control('stop', '-m', mode);
  }

  async restart(mode = 'immediate') {
    await this.stop(mode);
    await this.start();
  }

  /** Nothing answers any more, while all connections stay. */
  freeze() {
    this.#signal('SIGSTOP');
  }

  thaw() {
    this.#signal('SIGCONT');
  }

  async remove() {
    await this.stop().catch(() => {});
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #signal(signal) {
    const postmaster = Number(readFileSync(join(this.#data, 'postmaster.pid'), 'utf8').split('\n')[0]);
    const children = readdirSync('/proc')
      .filter((pid) => /^\d+$/.test(pid))
      .filter((pid) => {
        try {
          return Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1).split(' ')[1]) === postmaster;
        } catch {
          return false;
        }
      });
    for (const pid of [postmaster, ...children.map(Number)]) {
      try {
        process.kill(pid, signal);
      } catch {
        // It has just ended.
      }
    }
  }

  #run(program, ...args) {
    execFileSync(join(this.#programs, program), args, { ...this.#user, cwd: this.#folder, stdio: 'pipe' });
  }

  #control(...args) {
    const child = spawn(join(this.#programs, 'pg_ctl'), [...args, '-w', '-D', this.#data], {
      ...this.#user,
      cwd: this.#folder,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let problem = '';
    child.stderr.on('data', (chunk) => (problem += chunk));
    return new Promise((resolve, reject) => {
      child.once('exit', (code) => (code === 0 ? resolve() : reject(new Error(`pg_ctl ${args[0]}: ${problem}`))));
    });
  }
}
