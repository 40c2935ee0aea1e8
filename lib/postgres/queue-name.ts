import { addressName, addressOf as addressNamed, type DeliveryAddress } from '../engine/index.js';

/** What the name of an ordered callback's queue ends in: pg-boss cannot change the policy of a queue that exists. */
export const ORDERED = '/ordered';

/** The name of the pg-boss queue for an address, as in its dashboard. */
export const queueName = (address: DeliveryAddress, isOrdered: boolean) =>
  `${addressName(address)}${isOrdered ? ORDERED : ''}`;

export const isOrderedQueue = (queue: string) => queue.endsWith(ORDERED) && queue.split('/').length === 3;

/** The address whose queue has this name; `undefined` for a queue of somebody else. */
export function addressOf(queue: string): (DeliveryAddress & { isOrdered: boolean }) | undefined {
  const isOrdered = isOrderedQueue(queue);
  const address = addressNamed(isOrdered ? queue.slice(0, -ORDERED.length) : queue);
  return address && { ...address, isOrdered };
}
