import { recognizeCopies } from '../copies/shared.js';
import { clearTimeout, setImmediate, setTimeout } from './timers.js';

/** How long an answer is waited for, beside the time. */
export interface WaitingOptions {
  /**
   * `false`: where nothing else is left to do, the process ends before the time is over.
   * @default true
   */
  readonly keepsProcess?: boolean;
}

/**
 * Resolves as some work does, and rejects when that takes longer than so many milliseconds. An answer that has come while this
 * process was busy, and is not read yet, has come in time.
 */
export function within<T>(
  ms: number | undefined,
  work: Promise<T>,
  { keepsProcess = true }: WaitingOptions = {},
): Promise<T> {
  if (ms === undefined) return work;
  return new Promise((resolve, reject) => {
    const giveUp = () => reject(new NoAnswerError(`no answer within ${Math.round(ms)} ms`));
    // What has come is read between the two.
    const timer = setTimeout(() => setImmediate(giveUp), ms);
    if (!keepsProcess) timer.unref();
    work.then(
      (value) => {
        clearTimeout(timer);
        resolve(value);
      },
      (error: unknown) => {
        clearTimeout(timer);
        reject(error);
      },
    );
  });
}

/** Says that no answer came in time: a statement may have been executed, or may be yet. */
export class NoAnswerError extends Error {
  override readonly name = 'NoAnswerError';
}
recognizeCopies(NoAnswerError, 'NoAnswerError');

/** Resolves when some work has settled, and after so many milliseconds anyway. */
export function atMost(ms: number, work: Promise<unknown>): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    const end = () => {
      clearTimeout(timer);
      resolve();
    };
    work.then(end, end);
  });
}
