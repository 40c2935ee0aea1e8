import { type CallbackOptions, checkCallbackOptions } from '../options/callback.options.js';
import { declaredTwice, generatorFound, notAMethod, standardDecorator } from '../errors/callback-errors.js';
import { show } from '../errors/describe.js';
import { eventInvalid } from '../errors/run-errors.js';
import { EventDefinition, isSchema, NAME_THE_SCHEMA } from '../events/event-definition.js';
import {
  type AnyDefinition,
  type CallbackArguments,
  type EventClass,
  eventLabel,
  type EventName,
} from '../events/event-map.js';
import { declare, type Declaration, ownDeclarations } from './declarations.js';

/** The method must take what the event carries; `descriptor` is optional so that `applyDecorators` accepts it. */
export type CallbackDecorator<Event> = <Method extends (...args: CallbackArguments<Event>) => unknown>(
  target: object,
  method: string | symbol,
  descriptor?: TypedPropertyDescriptor<Method>,
) => void;

/**
 * Makes a method of a provider or controller answer an event: `run()` calls it with the event's arguments. Stack it
 * for several events. The method stays callable as before; an override in a subclass answers without being decorated
 * again.
 *
 * @example
 * @Injectable()
 * export class Emails {
 *   @Callback('user_joined')
 *   async greetNewUser(name: string, email: string) { … }
 * }
 *
 * @throws EVENTS_NOT_A_METHOD, EVENTS_EVENT_INVALID, EVENTS_CALLBACK_INVALID, EVENTS_DECLARED_TWICE while the class is
 * being defined.
 */
export function Callback<Event extends EventName | EventClass | AnyDefinition>(
  event: Event,
  options: CallbackOptions = {},
): CallbackDecorator<Event> {
  // Without parentheses, it is itself called as a decorator is.
  if (typeof options === 'symbol' || arguments.length > 2) {
    throw eventInvalid(
      `@Callback on ${String(options as unknown)}`,
      undefined,
      `Write its event in parentheses: @Callback('user_joined').`,
    );
  }
  return (target: object, method: string | symbol, descriptor?: PropertyDescriptor) => {
    const callback = requireMethod(target, method, descriptor);
    const { key, definition } = eventOf(event, callback);
    checkCallbackOptions(options, callback);
    if (ownDeclarations(target).some((other) => other.method === method && other.key === key))
      throw declaredTwice(callback, eventLabel(key));
    const declared = descriptor!.value as Function;
    declare(target, { key, definition, method, options: { ...options }, declared });
  };
}

function requireMethod(target: object, method: string | symbol, descriptor: unknown): string {
  if (method === undefined) throw notAMethod(`the class ${(target as Function).name}`);
  if (typeof method === 'object') throw standardDecorator(String((method as { name: string | symbol }).name));
  const owner = typeof target === 'function' ? target : target.constructor;
  const name = `${owner.name}.${String(method)}`;
  if (typeof descriptor === 'number') throw notAMethod(`parameter ${descriptor + 1} of ${name}`);
  if (typeof target === 'function') throw notAMethod(`${name}, which is static`);
  const { value, get, set } = (descriptor ?? {}) as PropertyDescriptor;
  if (get ?? set) throw notAMethod(`${name}, which is an accessor`);
  if (typeof value !== 'function') throw notAMethod(`${name}, which is a property`);
  if (isGenerator(value)) throw generatorFound(name);
  return name;
}

/** Whether a call of this runs nothing. */
export function isGenerator(method: unknown): boolean {
  // Babel's generators for an older JavaScript have the tag, too.
  const tag = typeof method === 'function' ? (method as { [Symbol.toStringTag]?: unknown })[Symbol.toStringTag] : '';
  return tag === 'GeneratorFunction' || tag === 'AsyncGeneratorFunction';
}

function eventOf(event: unknown, callback: string): Pick<Declaration, 'key' | 'definition'> {
  if (event instanceof EventDefinition) return { key: event.name, definition: event };
  if (typeof event === 'string' && event !== '') return { key: event };
  if (isSchema(event)) throw eventInvalid(`@Callback() on ${callback}`, event, NAME_THE_SCHEMA);
  if (typeof event === 'function' && event.prototype) return { key: event };
  const hint = Array.isArray(event)
    ? 'Stack one @Callback() per event.'
    : event === undefined
      ? 'Nothing was passed, or an import circle makes it undefined here: then move the event to a file of its own.'
      : 'Pass a name, a class, or what defineEvent() returned.';
  throw eventInvalid(`@Callback() on ${callback}`, event, hint, show(event));
}
