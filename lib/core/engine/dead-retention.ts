import type { DeliveryAddress } from './delivery.js';

const DAY_MS = 86_400_000;

function inWords(ms: number): string {
  const days = +(ms / DAY_MS).toFixed(1);
  if (days < 1) return `${+(ms / 1_000).toFixed(1)} s`;
  return days === 1 ? 'a day' : `${days} days`;
}

/** What an engine says at the start that does not keep dead deliveries for ever. */
export const retentionNotice = (keepDeadMs: number): string =>
  `Dead deliveries are removed ${inWords(keepDeadMs)} after they have died (keepDeadMs).`;

/** What it says when it has removed some. */
export function retentionReport(keepDeadMs: number, removed: readonly (DeliveryAddress & { count: number })[]): string {
  const all = removed.reduce((sum, { count }) => sum + count, 0);
  const each = removed.map(({ event, callback, count }) => `${count} of "${event}" to ${callback}`).join(', ');
  const were = all === 1 ? '1 dead delivery was' : `${all} dead deliveries were`;
  return `${were} removed, dead for longer than ${inWords(keepDeadMs)} (keepDeadMs): ${each}.`;
}
