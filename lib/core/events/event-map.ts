import type { EventDefinition } from './event-definition.js';

/**
 * Your events, by name: extend it, and every `@Callback()` and `run()` is checked by the compiler. While it is empty,
 * any name and any arguments are taken.
 *
 * @example
 * declare module 'nestjs-callbacks' {
 *   interface EventMap {
 *     user_joined: [name: string, email: string];
 *   }
 * }
 */
export interface EventMap {}

/** A name that `EventMap` declares; any string while it declares none. */
// Spelled out rather than `keyof EventMap`, so that the compiler's messages list the names.
export type EventName = keyof EventMap extends never ? string : { [Name in keyof EventMap]: Name }[keyof EventMap];

/** A class whose instances are events, matched by exact class. */
export type EventClass<Event extends object = object> = Function & { readonly prototype: Event };

/** A name must be a known one; the compiler's message then lists those that are. */
type Known<Event> = Event extends EventName ? Event : EventName;

/** The event that `@Callback()` takes: a name, a class, or a definition. */
export type CallbackEvent<Event> = Event extends string
  ? Known<Event>
  : Event extends EventClass | AnyDefinition
    ? Event
    : 'a name, a class, or what defineEvent() returned';

/** The event that `run()` takes: a name, an instance of a class, or a definition. */
export type RunEvent<Event> = Event extends string
  ? Known<Event>
  : Event extends Function
    ? 'an instance of this class, not the class itself'
    : Event extends PromiseLike<unknown>
      ? 'what this promise resolves to: await it first'
      : Event extends object
        ? Event
        : 'a name, an instance of an event class, or what defineEvent() returned';

type AnyDefinition = EventDefinition<any, any, any>;

type ArgumentsOfName<Name> = keyof EventMap extends never
  ? any[]
  : Name extends keyof EventMap
    ? EventMap[Name] extends readonly unknown[]
      ? EventMap[Name]
      : [declareTheArgumentsAsATuple: never]
    : never;

/** The arguments that `run(event, …)` takes after the event. */
export type RunArguments<Event> = Event extends string
  ? ArgumentsOfName<Event>
  : Event extends EventDefinition<string, infer Passed, infer _>
    ? Passed
    : Event extends Function
      ? any[]
      : [];

/** The arguments that the callbacks of an event receive. */
export type CallbackArguments<Event> = Event extends string
  ? ArgumentsOfName<Event>
  : Event extends EventDefinition<string, infer _, infer Received>
    ? Received
    : Event extends { readonly prototype: infer Instance }
      ? [event: Instance]
      : never;

/** The name or the class by which events are told apart. */
export type EventKey = string | Function;

/** An event as messages and logs name it. */
export const eventLabel = (key: EventKey) => (typeof key === 'string' ? key : key.name || '(anonymous class)');
