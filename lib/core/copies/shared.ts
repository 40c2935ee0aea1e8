import { ownFile } from './own-file.js';

/**
 * What all copies of this package in one process share. A process has several when two of its dependencies have one each, of
 * two versions, or one imports the package and the other requires it. A decorator of the one must count for the other.
 */

/** Goes up when something that copies share changes its shape: then those of two kinds share nothing. */
const SHAPE = 1;

interface Copies {
  /** Where each copy lies, by the shape of what it shares. */
  readonly places: Map<string, number>;
  readonly shared: Map<string, object>;
}

// Not of the process but of its realm: a test runner gives each file of specs a realm of its own.
const REALM = globalThis as { [key: symbol]: Copies | undefined };
const copies = (REALM[Symbol.for('nestjs-callbacks:copies')] ??= { places: new Map(), shared: new Map() });
copies.places.set(placeOfThis(), SHAPE);

/** Something that all copies share: made by the first that asks for it. */
export function shared<T extends object>(name: string, make: () => T): T {
  const key = `${name}/${SHAPE}`;
  const known = copies.shared.get(key) as T | undefined;
  if (known) return known;
  const made = make();
  copies.shared.set(key, made);
  return made;
}

/** Has `instanceof` answer for a class as for those that are its like in other copies. Call it where the class is defined. */
export function recognizeCopies(type: abstract new (...args: never[]) => object, name: string): void {
  const mark = Symbol.for(`nestjs-callbacks:${name}`);
  Object.defineProperty(type.prototype, mark, { value: true });
  Object.defineProperty(type, Symbol.hasInstance, {
    value(this: unknown, value: unknown): boolean {
      // Subclasses inherit this, and have no like elsewhere.
      if (this !== type) return Function.prototype[Symbol.hasInstance].call(this as Function, value);
      return typeof value === 'object' && value !== null && mark in value;
    },
  });
}

/** Where the copies of this package lie that have been loaded, and whether all of them share what they know. */
export const loadedCopies = (): { readonly places: readonly string[]; readonly isShared: boolean } => ({
  places: [...copies.places.keys()],
  isShared: new Set(copies.places.values()).size === 1,
});

/** The folder of this copy; of one that is bundled, the file. */
function placeOfThis(): string {
  return (ownFile() ?? 'unknown').replace(/[/\\]core[/\\]copies[/\\]own-file\.[cm]?[jt]s$/, '');
}
