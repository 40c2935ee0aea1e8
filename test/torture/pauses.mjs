// Pauses and resumes callbacks at random moments, by whichever instance lives, and remembers when that held.
import { setTimeout as sleep } from 'node:timers/promises';
import { now } from './now.mjs';
import { randomOf } from './random.mjs';

/** Longer than an engine waits for its store. */
const ANSWER_MS = 8_000;

export class Pauses {
  /** Each with its `callback`: it was acknowledged at `from`, and resuming was asked for at `to`; it may have held outside of that, from `askedAt` until `endedAt`. */
  windows = [];
  /** How often an instance did not answer, as it was killed or its store away. */
  unanswered = 0;
  #instances;
  #callbacks;
  #random;
  #isOver = false;
  #going;

  constructor(instances, callbacks, seed) {
    this.#instances = instances;
    this.#callbacks = callbacks;
    this.#random = randomOf(seed + 1);
    this.#going = this.#go();
  }

  /** Pauses no more. Resolves when all goes on. */
  async end() {
    this.#isOver = true;
    await this.#going;
  }

  async #go() {
    while (!this.#isOver) {
      await sleep(this.#random() * 3_000);
      const callback = this.#callbacks[Math.floor(this.#random() * this.#callbacks.length)];
      const askedAt = now();
      await this.#ask({ ask: 'pause', of: callback });
      const window = { callback, askedAt, from: now() };
      for (const end = now() + 1_500 + this.#random() * 4_000; now() < end && !this.#isOver;) await sleep(50);
      window.to = now();
      await this.#ask({ ask: 'resume', of: callback });
      this.windows.push({ ...window, endedAt: now() });
    }
  }

  /** Asks one instance after the other, until one says that it is done. */
  async #ask(question) {
    for (;;) {
      const able = [...this.#instances.all].filter(({ isReady, env }) => isReady && !env.PACKAGE);
      const instance = able[Math.floor(this.#random() * able.length)];
      if (instance && (await answered(instance, question))) return;
      if (instance) this.unanswered++;
      await sleep(100);
    }
  }
}

/** Resolves to whether it has said that it is done. */
async function answered({ child, ended }, question) {
  if (!child.connected) return false;
  let hear;
  const answer = new Promise((resolve) => {
    hear = (message) => message?.answer === question.ask && resolve(message.isDone);
    child.on('message', hear);
  });
  child.send(question, () => {});
  const isDone = await Promise.race([answer, ended.then(() => false), sleep(ANSWER_MS, false, { ref: false })]);
  child.off('message', hear);
  return isDone;
}
