import type { DeliveryAddress } from './delivery.js';

/**
 * Makes one name of an address, as a dashboard shows it: `user_joined/Emails.greetNewUser`. It consists of letters, digits,
 * `_`, `.`, `-` and that one slash. Every other byte is spelled as `--` and two hexadecimal digits.
 */
export const addressName = ({ event, callback }: DeliveryAddress) => `${encode(event)}/${encode(callback)}`;

/** The address that has this name; `undefined` for a name of another kind. */
export function addressOf(name: string): DeliveryAddress | undefined {
  const parts = name.split('/');
  if (parts.length !== 2) return undefined;
  try {
    return { event: decode(parts[0]), callback: decode(parts[1]) };
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

/** An address as one string. Nobody sees it. */
export const addressKey = ({ event, callback }: DeliveryAddress) => JSON.stringify([event, callback]);
