import { messageOf } from '../../engine/index.js';
import type { TestEvents } from '../test-events.js';

/** The part of Jest's and Vitest's matcher context that is used here. Bun's has less. */
export interface Context {
  readonly isNot?: boolean;
  readonly customTesters?: unknown[];
  equals(one: unknown, other: unknown, testers?: unknown[]): boolean;
  readonly utils: {
    readonly iterableEquality?: unknown;
    stringify(value: unknown): string;
    diff?(expected: unknown, received: unknown): string | null | undefined;
  };
}

export interface Verdict {
  pass: boolean;
  message(): string;
}

/** Says which run or call a matcher looks for. */
export interface Happening<T> {
  readonly call: readonly unknown[];
  readonly words: 'run' | 'called';
  /** The arguments that are expected; none stands for any. */
  readonly args: readonly unknown[];
  readonly named: readonly T[];
  readonly all: readonly T[];
  /** What there is to wait for. */
  readonly waiting?: () => readonly string[];
  line(record: T): string;
}

export function happened<T extends { readonly arguments: readonly unknown[] }>(
  context: Context,
  subject: TestEvents,
  { call, words, args, named, all, waiting, line }: Happening<T>,
): Verdict {
  const matching = named.filter((one) => args.length === 0 || areEqual(context, one.arguments, args));
  return verdict(context, subject, matching.length > 0, call, () =>
    context.isNot
      ? [list(matching, line, `It was ${words}:`)]
      : [
          named.length > 0 ? difference(context, args, named) : '',
          list(all, line, `What was ${words}:`, `Nothing was ${words}.`),
          ...(waiting?.() ?? []),
        ],
  );
}

/**
 * Compares as `toEqual()` does: maps, sets and other iterables by what is in them. The runner's own `this` must be kept: Bun
 * asks for it.
 */
export function areEqual(context: Context, one: unknown, other: unknown): boolean {
  const { customTesters = [], utils } = context;
  const testers = utils.iterableEquality === undefined ? customTesters : [...customTesters, utils.iterableEquality];
  return context.equals(isList(one) ? [...one] : one, isList(other) ? [...other] : other, testers);
}

const isList = (value: unknown): value is readonly unknown[] => Array.isArray(value);

const LONGEST_VALUE = 120;

/** Prints a value on one line. */
export function short(context: Context, value: unknown): string {
  let text: string;
  try {
    text = context.utils.stringify(value).replace(/\s+/g, ' ');
  } catch (error) {
    text = `(what cannot be printed: ${messageOf(error)})`;
  }
  return text.length > LONGEST_VALUE ? `${text.slice(0, LONGEST_VALUE)}…` : text;
}

const MOST_LISTED = 20;

export function list<T>(records: readonly T[], line: (record: T) => string, title: string, none = ''): string {
  if (records.length === 0) return none;
  const lines = records.slice(0, MOST_LISTED).map((record, index) => `  ${index + 1}. ${line(record)}`);
  const more = records.length > MOST_LISTED ? [`  … and ${records.length - MOST_LISTED} more`] : [];
  return [title, ...lines, ...more].join('\n');
}

/** Compares what was expected with what comes nearest to it among the records of the right name. */
function difference(
  context: Context,
  expected: readonly unknown[],
  records: readonly { readonly arguments: readonly unknown[] }[],
): string {
  const alike = records.map(
    ({ arguments: args }) =>
      args.filter((argument, at) => at < expected.length && areEqual(context, argument, expected[at])).length,
  );
  const { arguments: nearest } = records[alike.indexOf(Math.max(...alike))];
  const diff = context.utils.diff?.([...expected], [...nearest]);
  return diff ? `With other arguments:\n${diff}` : '';
}

/** @param details what the message says if the expectation fails */
export function verdict(
  context: Context,
  { isStarted }: TestEvents,
  pass: boolean,
  [matcher, ...args]: readonly unknown[],
  details: () => readonly string[],
): Verdict {
  const shown = () =>
    args.map((value) => (typeof value === 'function' ? value.name : short(context, value))).join(', ');
  return {
    pass,
    message: () =>
      [
        `expect(events)${context.isNot ? '.not' : ''}.${String(matcher)}(${shown()})`,
        ...details().filter((detail) => detail !== ''),
        ...(isStarted ? [] : ['The application has not started: call init() first, as in await testing.init().']),
      ].join('\n\n'),
  };
}
