import type { DeliveryAddress } from '../engine/delivery.js';
import type { DeliveryCounts } from '../engine/kept-delivery.js';

/** The warnings of an application that boots: deliveries that the engine keeps, and that somebody should look into. */
export function bootWarnings(
  counts: readonly DeliveryCounts[],
  isKnown: (address: DeliveryAddress) => boolean,
): string[] {
  const warnings: string[] = [];
  const list = (kept: readonly DeliveryCounts[], count: (one: DeliveryCounts) => number) =>
    kept.map((one) => `${one.isExact ? '' : 'at least '}${count(one)} of "${one.event}" to ${one.callback}`).join(', ');
  const all = (one: DeliveryCounts) => one.waiting + one.delayed + one.running + one.dead;
  const unknown = counts.filter((one) => !isKnown(one) && all(one) > 0);
  if (unknown.length > 0) {
    warnings.push(
      `There are deliveries to callbacks that this instance does not know: ${list(unknown, all)}. They wait for an ` +
        'instance that does. If a callback was renamed, name its old id: @Callback(event, { formerly: … }).',
    );
  }
  const dead = counts.filter((one) => isKnown(one) && one.dead > 0);
  if (dead.length > 0) {
    warnings.push(`There are dead deliveries: ${list(dead, (one) => one.dead)}. Look into them with EventDeliveries.`);
  }
  const paused = counts.filter((one) => isKnown(one) && one.pausedSince);
  if (paused.length > 0) warnings.push(pausedWarning(paused));
  return warnings;
}

function pausedWarning(paused: readonly DeliveryCounts[]): string {
  const each = paused.map(({ event, callback, pausedSince, waiting, isExact }) => {
    const count = `${isExact ? '' : 'at least '}${waiting} ${waiting === 1 ? 'waits' : 'wait'}`;
    return `${callback} of "${event}" since ${pausedSince!.toISOString()} (${count})`;
  });
  const how = paused.length === 1 ? `{ callback: '${paused[0].callback}' }` : '{ callback: … }, or {} for all';
  return `${paused.length === 1 ? 'A callback is' : 'Callbacks are'} paused: ${each.join(', ')}. Call EventDeliveries.resume(${how}) to go on.`;
}

/** What an instance says at boot that works on nothing, so that somebody notices if no other does. */
export function idleNotice(
  counts: readonly DeliveryCounts[],
  isKnown: (address: DeliveryAddress) => boolean,
): string | undefined {
  // What is paused is to wait.
  const waiting = counts.filter((one) => isKnown(one) && one.waiting > 0 && !one.pausedSince);
  if (waiting.length === 0) return undefined;
  const all = waiting.reduce((sum, one) => sum + one.waiting, 0);
  const count = waiting.every(({ isExact }) => isExact) ? all : `At least ${all}`;
  return `${count} deliveries wait, and this instance performs none (work: false): another one is to.`;
}
