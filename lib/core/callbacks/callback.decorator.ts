import { type CallbackOptions, checkCallbackOptions } from '../options/callback.options.js';
import { declaredTwice, notAMethod, standardDecorator } from '../errors/callback-errors.js';
import { eventInvalid } from '../errors/run-errors.js';
import { EventDefinition } from '../events/event-definition.js';
import {
  type AnyDefinition,
  type CallbackArguments,
  type EventClass,
  type EventKey,
  eventLabel,
  type EventName,
} from '../events/event-map.js';

/** One `@Callback()`, as the registry reads it. */
export interface Declaration {
  readonly key: EventKey;
  readonly definition?: EventDefinition<string, unknown[], unknown[]>;
  readonly method: string | symbol;
  readonly options: CallbackOptions;
}

/** The method must take what the event carries; `descriptor` is optional so that `applyDecorators` accepts it. */
export type CallbackDecorator<Event> = <Method extends (...args: CallbackArguments<Event>) => unknown>(
  target: object,
  method: string | symbol,
  descriptor?: TypedPropertyDescriptor<Method>,
) => void;

const declarations = new WeakMap<object, Declaration[]>();

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
  if (typeof options === 'string' || typeof options === 'symbol') {
    throw eventInvalid(
      `@Callback on ${String(options)}`,
      undefined,
      `Write its event in parentheses: @Callback('user_joined').`,
    );
  }
  return (target: object, method: string | symbol, descriptor?: PropertyDescriptor) => {
    const callback = requireMethod(target, method, descriptor);
    const { key, definition } = eventOf(event, callback);
    checkCallbackOptions(options, callback);
    const own = declarations.get(target) ?? [];
    if (own.some((other) => other.method === method && other.key === key))
      throw declaredTwice(callback, eventLabel(key));
    own.push({ key, definition, method, options: { ...options } });
    declarations.set(target, own);
  };
}

/**
 * The callbacks that instances of a prototype have: those of its base classes first, and in each class as written. A
 * subclass that declares a method for the same event again replaces the options and keeps the place.
 */
export function declarationsOf(prototype: object | null): readonly Declaration[] {
  let declaring = prototype;
  while (declaring && !declarations.has(declaring)) declaring = Object.getPrototypeOf(declaring) as object | null;
  if (!declaring) return NONE;
  const own = declarations.get(declaring)!;
  const inherited = declarationsOf(Object.getPrototypeOf(declaring) as object | null);
  if (inherited.length === 0) return own;
  const isSame = (a: Declaration, b: Declaration) => a.method === b.method && a.key === b.key;
  return [
    ...inherited.map((base) => own.find((declared) => isSame(declared, base)) ?? base),
    ...own.filter((declared) => !inherited.some((base) => isSame(declared, base))),
  ];
}

const NONE: readonly Declaration[] = [];

/** The name by which a callback is known, given that of its class. */
export const idOf = ({ method, options }: Declaration, className: string) =>
  options.id ?? `${className || '(anonymous class)'}.${String(method)}`;

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
  return name;
}

function eventOf(event: unknown, callback: string): Pick<Declaration, 'key' | 'definition'> {
  if (event instanceof EventDefinition) return { key: event.name, definition: event };
  if (typeof event === 'string' && event !== '') return { key: event };
  if (typeof event === 'function' && event.prototype) return { key: event };
  throw eventInvalid(
    `@Callback() on ${callback}`,
    event,
    event === undefined
      ? 'Nothing was passed, or an import circle makes it undefined here: then move the event to a file of its own.'
      : 'Pass a name, a class, or what defineEvent() returned.',
  );
}
