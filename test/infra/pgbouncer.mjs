// A PgBouncer of a test's own before a Postgres server, by the program that is installed.
import { spawn } from 'node:child_process';
import { accessSync, chmodSync, constants, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort, user } from '../support/private-postgres.mjs';

/** The path of `pgbouncer`, or `undefined`. */
export function findPgBouncer() {
  const folders = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/usr/local/sbin'];
  return folders
    .map((folder) => join(folder, 'pgbouncer'))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

export class PgBouncer {
  /**
   * Starts one before a server.
   *
   * @param server the URL of a database that trusts its user
   * @param mode `session`, `transaction` or `statement`
   */
  static async before(server, mode, settings = {}) {
    const { hostname, port, username, pathname } = new URL(server);
    const bouncer = new PgBouncer(await freePort(), username, pathname);
    const own = {
      listen_addr: '127.0.0.1',
      listen_port: bouncer.port,
      unix_socket_dir: '',
      auth_type: 'any',
      pool_mode: mode,
      default_pool_size: 10,
      max_client_conn: 200,
      ...settings,
    };
    const lines = Object.entries(own).map(([name, value]) => `${name} = ${value}`);
    const file = join(bouncer.#folder, 'pgbouncer.ini');
    const database = `* = host=${hostname} port=${port || 5432} user=${username}`;
    writeFileSync(file, ['[databases]', database, '[pgbouncer]', ...lines, ''].join('\n'));
    chmodSync(bouncer.#folder, 0o755);
    bouncer.#child = spawn(findPgBouncer(), ['-q', file], { ...user(), stdio: 'ignore' });
    while (!(await bouncer.#answers())) {
      if (bouncer.#child.exitCode !== null) throw new Error(`pgbouncer has ended by ${bouncer.#child.exitCode}`);
      await sleep(10);
    }
    return bouncer;
  }

  #folder = mkdtempSync(join(tmpdir(), 'pgbouncer-'));
  #child;
  #username;
  #pathname;

  constructor(port, username, pathname) {
    this.port = port;
    this.#username = username;
    this.#pathname = pathname;
  }

  get url() {
    return `postgres://${this.#username}@127.0.0.1:${this.port}${this.#pathname}`;
  }

  async remove() {
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGKILL');
    await ended;
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #answers() {
    return new Promise((resolve) => {
      const socket = createConnection(this.port, '127.0.0.1');
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
  }
}
