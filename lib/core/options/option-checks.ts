import { show } from '../errors/describe.js';
import { meantOption, onLevel } from './meant-option.js';

/** Checks one option. */
export interface Check {
  readonly isValid: (value: any) => boolean;
  /** The second sentence of a message, which says what to do: `Pass true or false.` */
  readonly expected: string | ((value: any) => string);
  /** `true`: an option that is there, but `undefined`, is wrong. An import circle may have hidden what was meant. */
  readonly refusesUndefined?: boolean;
}

/** The checks of some options, by name. An option within an object is named as in `retry.attempts`. */
export type Checks = Readonly<Record<string, Check>>;

/** The first option that is wrong. */
export interface WrongOption {
  readonly option: string;
  readonly value: unknown;
  /** Says what is expected; of an unknown option, which one may have been meant. */
  readonly remedy: string;
  readonly isKnown: boolean;
  /** Whether the remedy says which one was probably meant. */
  readonly isMeant: boolean;
}

/** Checks options field by field. Returns the first wrong one. */
export function wrongOption(options: object, checks: Checks, prefix = ''): WrongOption | undefined {
  for (const [field, value] of Object.entries(options)) {
    const option = prefix + field;
    if (!Object.hasOwn(checks, option)) {
      const known = Object.keys(checks);
      const meant = meantOption(option, prefix, known);
      const remedy = meant ?? `There are ${onLevel(prefix, known).join(', ')}.`;
      return { option, value, remedy, isKnown: false, isMeant: meant !== undefined };
    }
    const { isValid, expected, refusesUndefined } = checks[option];
    if (value === undefined && !refusesUndefined) continue;
    if (!isValid(value)) {
      const remedy = typeof expected === 'string' ? expected : expected(value);
      return { option, value, remedy, isKnown: true, isMeant: false };
    }
    const hasFields = Object.keys(checks).some((other) => other.startsWith(`${option}.`));
    const wrong = hasFields ? wrongOption(value as object, checks, `${option}.`) : undefined;
    if (wrong) return wrong;
  }
  return undefined;
}

export const IS_BOOLEAN: Check = { isValid: (value) => typeof value === 'boolean', expected: 'Pass true or false.' };

/** Makes a check of whether a value is a multiple of `unit`, from `least` to `most`. */
export const isWhole =
  (unit: number, least: number, most = Infinity) =>
  (value: unknown): boolean =>
    typeof value === 'number' && Number.isSafeInteger(value / unit) && value >= least && value <= most;

export const isCount = (least: number): Check => ({
  isValid: isWhole(1, least),
  expected: `Pass a whole number, ${least} or more.`,
});

/** Ten years: an engine must be able to add it to a date. */
const MOST_MS = 10 * 366 * 24 * 60 * 60 * 1_000;

export const IS_DURATION: Check = {
  isValid: (value) => typeof value === 'number' && value >= 0 && value <= MOST_MS,
  expected: `Pass milliseconds, from 0 to ${MOST_MS} (ten years).`,
};

export const isObject = (expected: string): Check => ({
  isValid: (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
  expected,
});

/** Whether it is an object of no class, of this realm or another: what it holds are its own fields. */
export function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype = Object.getPrototypeOf(value) as object | null;
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Whether it is a text that any store can hold, of so many characters at most, and not empty. */
export const isShortText = (value: unknown, most: number): value is string =>
  typeof value === 'string' && value.length > 0 && value.length <= most && !/\0|\p{Surrogate}/u.test(value);

/** The most characters of an id. */
export const MOST_ID_CHARACTERS = 255;

/** Whether it may be the id of deliveries: text of one line, as logs show it. */
export const isDeliveryId = (value: unknown): value is string =>
  isShortText(value, MOST_ID_CHARACTERS) && !/\p{Cc}/u.test(value);

export const isUuid = (value: unknown) => typeof value === 'string' && UUID.test(value);

/**
 * Refuses wrong options of an engine, or of something like it.
 *
 * @param of whose options they are, as in `postgres()`
 * @param errorFor what it throws
 */
export function requireOptions(
  of: string,
  options: object,
  checks: Checks,
  errorFor: (message: string) => Error = (message) => new Error(message),
): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    // A string may be a URL, with a password.
    const found = typeof options === 'string' ? 'a string' : show(options);
    throw errorFor(`${of} was given ${found} as its options. Pass an object.`);
  }
  const wrong = wrongOption(options, checks);
  if (!wrong) return;
  const { option, value, isKnown, remedy } = wrong;
  // A text may be a URL with a password, and an object may hold one.
  const found =
    typeof value === 'string' || typeof value === 'object' ? `a wrong ${option}` : `${option}: ${show(value)}`;
  throw errorFor(isKnown ? `${of} was given ${found}. ${remedy}` : `${of} has no option ${option}. ${remedy}`);
}
