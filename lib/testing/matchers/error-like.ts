import { messageOf } from '../../engine/index.js';
import { testingInvalid } from '../testing-errors.js';
import { areEqual, type Context } from './verdict.js';

/** Recognises an error by a part of its message, a pattern, its class, another error's message, or its value. */
export function errorLike(context: Context, expected: unknown): (reason: unknown) => boolean {
  if (typeof expected === 'string') return (reason) => messageOf(reason).includes(expected);
  if (expected instanceof RegExp) {
    // With these flags a pattern remembers where it stopped, and would start there the next time.
    const pattern = new RegExp(expected.source, expected.flags.replace(/[gy]/g, ''));
    return (reason) => pattern.test(messageOf(reason));
  }
  if (typeof expected === 'function') {
    if (typeof expected.prototype === 'object') return (reason) => isOfType(reason, expected);
    throw testingInvalid('toHaveFailed()', 'a function as the error', 'Pass a class, a message, a pattern or a value.');
  }
  if (expected instanceof Error) return (reason) => reason === expected || messageOf(reason) === messageOf(expected);
  return (reason) => areEqual(context, reason, expected);
}

/** Node's own errors are of another realm than a test's classes, so these are recognised by their name. */
function isOfType(reason: unknown, type: Function): boolean {
  try {
    for (let at: unknown = reason; at !== null && typeof at === 'object'; at = Object.getPrototypeOf(at)) {
      if (at === type.prototype) return true;
      const own: unknown = Object.hasOwn(at, 'constructor') ? (at as { constructor: unknown }).constructor : undefined;
      const isNative = typeof own === 'function' && Function.prototype.toString.call(own).endsWith('{ [native code] }');
      if (isNative && own.name === type.name && own.name.endsWith('Error')) return true;
    }
  } catch {
    // A proxy or a getter refuses to be looked at.
  }
  return false;
}
