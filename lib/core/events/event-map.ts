import type { EventMap } from './declared-events.js';
import type { EventDefinition } from './event-definition.js';

// A CommonJS library and an application of ES modules each extend EventMap by an index of their own. Both extend the same
// interface only if it was extended before: compilers start from the declaration each time, or else from what it has become.
declare module './declared-events.js' {
  interface EventMap {}
}

/** A name that `EventMap` declares; any string while it declares none. */
// Spelled out rather than `keyof EventMap`, so that the compiler's messages list the names.
export type EventName = keyof EventMap extends never ? string : { [Name in keyof EventMap]-?: Name }[keyof EventMap];

/** A class whose instances are events, matched by exact class. */
export type EventClass<Event extends object = object> = Function & { readonly prototype: Event };

/** What `run()` takes beside names: an instance of an event class, or a definition. */
export type EventObject = object & NoClassPromiseOrSchema;

/** Only functions have the first of these, only promises the second, only schemas the third. */
export interface NoClassPromiseOrSchema {
  readonly [Symbol.hasInstance]?: never;
  readonly then?: NotAMethod;
  readonly '~standard'?: never;
}

type NotAMethod = string | number | bigint | boolean | symbol | null | (object & { readonly call?: never });

/** Whatever `defineEvent()` returns. */
export type AnyDefinition = EventDefinition<any, any, any>;

/** Stands for the arguments of a name whose entry in `EventMap` is no tuple. Only its name is ever seen. */
export interface NotATuple<What extends string> {
  readonly declare: What;
}

/** Stands for the arguments of one of several events that have none in common. Only its name is ever seen. */
export interface NoArgumentsFitAllOfTheseEvents {
  readonly [never]: never;
}
declare const never: unique symbol;

type TupleOf<Name, Entry> = Entry extends readonly unknown[]
  ? Entry
  : [NotATuple<`In EventMap, ${Name & string} must have a tuple, as in ${Name & string}: [name: string]`>];

/** The arguments of each name. */
type ArgumentsByName = { [Name in keyof EventMap]-?: TupleOf<Name, Exclude<EventMap[Name], undefined>> };

/** A function for each name, which takes its arguments. */
type TakersByName = { [Name in keyof EventMap]-?: (...args: ArgumentsByName[Name]) => void };

/**
 * A function that takes the arguments of an event; for one of several events, one of several functions: what is inferred of
 * their arguments then suits each. Arguments that are inferred from a function are also no place from which the compiler
 * would infer the event, which made the cost of a call grow with the number of names.
 */
type Taker<Event> = 0 extends 1 & Event // any
  ? (...args: any[]) => void
  : Event extends keyof EventMap
    ? TakersByName[Event]
    : Event extends string
      ? (...args: any[]) => void
      : Event extends EventDefinition<string, infer Passed, infer _>
        ? (...args: Passed) => void
        : () => void;

/**
 * The arguments that `run(event, …)` takes after the event; where the event may be one of several, those that fit all of
 * them.
 *
 * @example
 * class Notifier {
 *   notify<Name extends EventName>(event: Name, ...args: RunArguments<Name>) {
 *     return this.events.run(event, ...args);
 *   }
 * }
 */
export type RunArguments<Event> = [Event] extends [object]
  ? TakenBy<Event>
  : // For an event that is none, and for completions, the compiler asks with all events: answering that at once keeps its
    // message readable, and completions fast.
    [EventName | EventObject] extends [Event]
    ? never
    : TakenBy<Event>;

type TakenBy<Event> =
  Taker<Event> extends (...args: infer Args extends readonly any[]) => void
    ? [Args] extends [never]
      ? NoneFor<Event>
      : Args
    : never;

type NoneFor<Event> = [EventName] extends [Event] ? never : [NoArgumentsFitAllOfTheseEvents];

/** The arguments that the callbacks of an event receive. */
export type CallbackArguments<Event> = Event extends keyof EventMap
  ? ArgumentsByName[Event]
  : Event extends string
    ? any[]
    : Event extends EventDefinition<string, infer _, infer Received>
      ? Received
      : Event extends { readonly prototype: infer Instance }
        ? [event: Instance]
        : never;

/** The name or the class by which events are told apart. */
export type EventKey = string | Function;

/** An event as messages and logs name it. */
export const eventLabel = (key: EventKey) => (typeof key === 'string' ? key : key.name || '(anonymous class)');
