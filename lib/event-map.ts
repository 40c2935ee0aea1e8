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
export type EventName = keyof EventMap extends never ? string : Extract<keyof EventMap, string>;

/** A class whose instances are events, matched by exact class. */
export type EventClass<Event extends object = object> = Function & { readonly prototype: Event };

// eslint-disable-next-line -- `any` is what lets every definition in, whatever it carries
type AnyDefinition = EventDefinition<any, any, any>;

/** What `@Callback()` takes: a name, a class, or a definition. */
export type CallbackEvent = EventName | EventClass | AnyDefinition;

/** What `run()` takes: a name, an instance of a class, or a definition. */
export type RunEvent = EventName | AnyDefinition | object;

type ArgumentsOfName<Name> = keyof EventMap extends never
  ? any[]
  : Name extends keyof EventMap
    ? EventMap[Name] extends readonly unknown[]
      ? EventMap[Name]
      : [declareTheArgumentsAsATuple: never]
    : never;

/** What `run(event, …)` takes after the event. */
export type RunArguments<Event> = Event extends string
  ? ArgumentsOfName<Event>
  : Event extends EventDefinition<string, infer Passed, infer _>
    ? Passed
    : Event extends Function
      ? [passAnInstanceOfThisClassInstead: never]
      : [];

/** What the callbacks of an event receive. */
export type CallbackArguments<Event> = Event extends string
  ? ArgumentsOfName<Event>
  : Event extends EventDefinition<string, infer _, infer Received>
    ? Received
    : Event extends { readonly prototype: infer Instance }
      ? [event: Instance]
      : never;

/** How the registry tells events apart: by name, or by class. */
export type EventKey = string | Function;

/** An event as messages and logs name it. */
export const eventLabel = (key: EventKey) => (typeof key === 'string' ? key : key.name || '(anonymous class)');
