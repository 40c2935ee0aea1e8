import { addressName, addressOf as addressNamed, type DeliveryAddress } from '../engine/index.js';

/**
 * The end of the names of ordered callbacks' queues. A callback that becomes ordered needs another queue, because pg-boss
 * cannot change the policy of a queue that exists.
 */
export const ORDERED = '/ordered';

/** Names the pg-boss queue for an address, as its dashboard shows it. */
export const queueName = (address: DeliveryAddress, isOrdered: boolean) =>
  `${addressName(address)}${isOrdered ? ORDERED : ''}`;

export const isOrderedQueue = (queue: string) => queue.endsWith(ORDERED) && queue.split('/').length === 3;

/** Finds the address whose queue has this name. `undefined` means that the queue is somebody else's. */
export function addressOf(queue: string): (DeliveryAddress & { isOrdered: boolean }) | undefined {
  const isOrdered = isOrderedQueue(queue);
  const address = addressNamed(isOrdered ? queue.slice(0, -ORDERED.length) : queue);
  return address && { ...address, isOrdered };
}

/** Finds the address of a queue that is surely ours. */
export function requireAddress(queue: string): DeliveryAddress {
  const address = addressOf(queue);
  if (!address) throw new Error(`"${queue}" is no queue of this package.`);
  return address;
}
