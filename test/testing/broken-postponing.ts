/** Engines that break a rule on what was postponed, by the rule. */
import { type Break, byTheLast, performing } from './breaking.js';

const error = { name: 'Error', message: 'later' };

/** Charges what was postponed. */
const charging: Break = performing((attempt) => ({ postpone: (ms) => attempt.retryIn(ms, error) }));

export const brokenPostponing: Record<string, Break> = {
  'performs again what was postponed, when it is due again and not before, with the same attempt before it': performing(
    (attempt) => ({ postpone: () => attempt.postpone!(0) }),
  ),
  'says how long a delivery was postponed in all, also after a failure, and anew when it was dead and retried':
    performing(({ postponedMs = 0 }) => ({ postponedMs: Math.min(postponedMs, 300) })),
  'keeps the order of a key while one of it is postponed': byTheLast((last) => ({
    postpone: async (ms) => {
      const attempt = last();
      setTimeout(() => void attempt.complete(), ms);
      return true;
    },
  })),
  'charges an instance that died nothing for what was postponed before': charging,
};
