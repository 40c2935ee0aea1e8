import { ENHANCERS } from './internals.js';

/**
 * The functions that a method of a prototype itself has been. A decorator may put another function in the place of the one
 * that has the metadata.
 */
export type FunctionsOf = (prototype: object, method: string | symbol) => readonly Function[];

/** The prototype of a class, and those of its bases. */
export function* chainOf(prototype: object): Generator<object> {
  for (let at: object | null = prototype; at && at !== Object.prototype; at = Object.getPrototypeOf(at)) yield at;
}

/**
 * What decorators have noted on a method: that of an override, else that of the method below; of a function that a decorator
 * has put in the place of another, that of both.
 */
export function metadataOf(
  prototype: object,
  method: string | symbol,
  functionsOf: FunctionsOf,
): ReadonlyMap<unknown, unknown> {
  const metadata = new Map<unknown, unknown>();
  for (const at of chainOf(prototype)) {
    for (const [key, value] of ofOneClass(functionsOf(at, method))) {
      if (!metadata.has(key)) metadata.set(key, value);
    }
  }
  return metadata;
}

function ofOneClass(functions: readonly Function[]): ReadonlyMap<unknown, unknown> {
  const metadata = new Map<unknown, unknown>();
  for (const one of functions) {
    for (const key of Reflect.getOwnMetadataKeys(one)) {
      const value: unknown = Reflect.getOwnMetadata(key, one);
      const before = metadata.get(key);
      // Whoever replaces a method may copy its metadata, or not; guards and their like add up.
      const addsUp = KEYS.has(key) && Array.isArray(before) && Array.isArray(value);
      metadata.set(key, addsUp ? [...before.filter((enhancer) => !value.includes(enhancer)), ...value] : value);
    }
  }
  return metadata;
}

const KEYS: ReadonlySet<unknown> = new Set(ENHANCERS.map(({ key }) => key));
