import type { Attributes } from '@opentelemetry/api';
import { EventsError, type EventHeaders } from '../index.js';

// The names of the semantic conventions for messaging, 1.44, and of our own where those have none.

const SYSTEM = { 'messaging.system': 'nestjs_callbacks' };

/** How a duration is divided, in seconds, as the conventions have it. */
export const DURATION_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];

export const ofEvent = (event: string): Attributes => ({ 'nestjs_callbacks.event': event });

export const ofSending = (event: string): Attributes => ({
  ...SYSTEM,
  'messaging.operation.name': 'send',
  'messaging.operation.type': 'send',
  'messaging.destination.name': event,
});

export const ofProcessing = (event: string, callback: string): Attributes => ({
  ...SYSTEM,
  'messaging.operation.name': 'process',
  'messaging.operation.type': 'process',
  'messaging.destination.name': event,
  'messaging.destination.subscription.name': callback,
});

export const ofDeliveries = (event: string, callback: string): Attributes => ({
  ...SYSTEM,
  'messaging.destination.name': event,
  'messaging.destination.subscription.name': callback,
});

/** The values of those headers that an option names. */
export const ofHeaders = (headers: EventHeaders, named: readonly string[]): Attributes =>
  Object.fromEntries(
    named.flatMap((name) => (Object.hasOwn(headers, name) ? [[`nestjs_callbacks.header.${name}`, headers[name]]] : [])),
  );

/** The class of an error, or its code: never its message, which may tell anything. */
export function errorType(error: unknown): string {
  if (error instanceof EventsError) return error.code;
  try {
    const name: unknown = (error as object).constructor.name;
    return (typeof name === 'string' && name) || '_OTHER';
  } catch {
    return '_OTHER';
  }
}
