// A way to a server that does what networks do: it cuts connections, stalls, is late or slow, and swallows what it is given.
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** One end that reads, and one that it passes on to, in order. */
class Way {
  /** @type {Promise<unknown>} */
  #last = Promise.resolve();

  constructor(from, into, proxy) {
    from.on('data', (chunk) => {
      const arrivesAt = performance.now() + proxy.delayMs;
      from.pause();
      this.#last = this.#last.then(async () => {
        await proxy.passable();
        await sleep(Math.max(0, arrivesAt - performance.now()));
        await proxy.free(chunk.length);
        if (!into.destroyed && !into.write(chunk))
          await Promise.race([once(into, 'drain'), once(into, 'close')]).catch(() => {});
        from.resume();
      });
    });
    from.on('end', () => this.#last.then(() => into.end()));
    from.on('close', () => this.#last.then(() => into.destroy()));
  }
}

export class Proxy {
  /**
   * Stands before a server.
   *
   * @param to its port, on this machine
   */
  static async before(to) {
    const proxy = new Proxy();
    proxy.#to = to;
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  /** How late everything arrives. With less than a millisecond, it arrives as fast as it can. */
  delayMs = 0;
  /** How much arrives in a second, over all connections together and in both directions. */
  bytesPerSecond = Infinity;
  #to = 0;
  #freeAt = 0;
  #opening;
  #server = createServer((near) => this.#connect(near));
  #pairs = new Set();
  #swallowed = new Set();

  get port() {
    return this.#server.address().port;
  }

  /** The URL of a server, by way of this. */
  url(of) {
    const url = new URL(of);
    url.hostname = '127.0.0.1';
    url.port = String(this.port);
    return url.href;
  }

  /** Leads new connections to another server, as when a standby is promoted. */
  leadTo(port) {
    this.#to = port;
  }

  /** Nothing arrives any more, until {@link resume}: all of it does then. */
  stall() {
    this.#opening ??= opening();
  }

  resume() {
    this.#opening?.resolve();
    this.#opening = undefined;
  }

  /** Nothing arrives on the connections that there are now, for ever, and nobody is told. */
  swallow() {
    for (const pair of this.#pairs) {
      this.#swallowed.add(pair);
      for (const socket of pair)
        socket
          .removeAllListeners()
          .on('error', () => {})
          .resume();
    }
    this.#pairs.clear();
  }

  /** Breaks off all connections that there are now. */
  cut() {
    for (const pair of this.#pairs) for (const socket of pair) socket.resetAndDestroy();
  }

  /** How many connections there are. */
  get count() {
    return this.#pairs.size;
  }

  async end() {
    this.#server.close();
    this.resume();
    this.cut();
    for (const pair of this.#swallowed) for (const socket of pair) socket.destroy();
  }

  /** For its ways: resolves when something may pass. */
  async passable() {
    while (this.#opening) await this.#opening.promise;
  }

  /** For its ways: resolves when so many bytes have passed. */
  async free(bytes) {
    if (this.bytesPerSecond === Infinity) return;
    this.#freeAt = Math.max(this.#freeAt, performance.now()) + (bytes / this.bytesPerSecond) * 1_000;
    await sleep(this.#freeAt - performance.now());
  }

  #connect(near) {
    const far = connect(this.#to, '127.0.0.1');
    const pair = [near, far];
    this.#pairs.add(pair);
    for (const socket of pair) {
      socket.setNoDelay(true);
      socket.on('error', () => {});
    }
    near.on('close', () => this.#pairs.delete(pair));
    new Way(near, far, this);
    new Way(far, near, this);
  }
}

/** A promise, and what resolves it. */
function opening() {
  const made = {};
  made.promise = new Promise((resolve) => (made.resolve = resolve));
  return made;
}
