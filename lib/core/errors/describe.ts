import { inspect } from 'node:util';

/** Shows a value in a message: short, on one line. */
export const show = (value: unknown): string => {
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  if (value instanceof Promise) return 'a promise';
  if (typeof value === 'function') return value.name ? `the function ${value.name}` : 'a function';
  return inspect(value, { depth: 1, breakLength: Infinity, maxStringLength: 80, maxArrayLength: 5 });
};

/** The message of somebody else's error, as a sentence. */
export const sentenceOf = (cause: unknown): string => {
  if (!(cause instanceof Error)) return sentence(String(cause));
  // Drizzle's own message is the statement.
  const { message, cause: inner } = cause;
  return message.startsWith('Failed query') && inner ? sentenceOf(inner) : sentence(message || cause.name);
};

const sentence = (text: string) => (/[.!?]$/.test(text) ? text : `${text}.`);
