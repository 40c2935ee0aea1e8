import type { DeliveryAddress } from '../index.js';

/** What the name of an ordered callback's queue ends in: pg-boss cannot change the policy of a queue that exists. */
const ORDERED = '/ordered';

/**
 * The name of the pg-boss queue for an address, which may be read in its dashboard: `user_joined/Emails.greetNewUser`.
 * What pg-boss does not allow in a name is spelled `--` and two hexadecimal digits a byte.
 */
export const queueName = ({ event, callback }: DeliveryAddress, isOrdered: boolean) =>
  `${encode(event)}/${encode(callback)}${isOrdered ? ORDERED : ''}`;

export const isOrderedQueue = (queue: string) => queue.endsWith(ORDERED) && queue.split('/').length === 3;

/** The address whose queue has this name; `undefined` for a queue of somebody else. */
export function addressOf(queue: string): (DeliveryAddress & { isOrdered: boolean }) | undefined {
  const parts = queue.split('/');
  const isOrdered = isOrderedQueue(queue);
  if (parts.length !== 2 && !isOrdered) return undefined;
  try {
    return { event: decode(parts[0]), callback: decode(parts[1]), isOrdered };
  } catch {
    return undefined;
  }
}

const ALLOWED = /^[\w.-]+$/;

function encode(name: string): string {
  if (ALLOWED.test(name) && !name.includes('--')) return name;
  return encodeURIComponent(name)
    .replace(/[-!~*'()]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%', '--');
}

const decode = (name: string) => (name.includes('--') ? decodeURIComponent(name.replaceAll('--', '%')) : name);
