import { clearTimeout, setTimeout } from './timers.js';

/** Resolves when some work has settled, and after so many milliseconds anyway. */
export function atMost(ms: number, work: Promise<unknown>): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    void work.finally(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
