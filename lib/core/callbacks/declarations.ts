import { shared } from '../copies/shared.js';
import type { EventDefinition } from '../events/event-definition.js';
import type { EventKey } from '../events/event-map.js';
import type { CallbackOptions } from '../options/callback.options.js';

/** One `@Callback()`, as the registry reads it. */
export interface Declaration {
  readonly key: EventKey;
  readonly definition?: EventDefinition<string, unknown[], unknown[]>;
  readonly method: string | symbol;
  readonly options: CallbackOptions;
  /** The method as `@Callback()` found it. A decorator above may put another in its place, which lacks its metadata. */
  readonly declared: Function;
}

interface Declarations {
  readonly byPrototype: WeakMap<object, Declaration[]>;
  /** By the function that is the method in the end, what was declared of it: a mixin may copy it elsewhere. */
  readonly byFunction: WeakMap<Function, Declaration[]>;
  /** The names of all methods that were declared: a mixin keeps them, and few others have them. */
  readonly names: Set<string | symbol>;
  /** Prototypes whose methods are not in {@link byFunction} yet: decorators above may still replace them. */
  readonly fresh: Set<object>;
}

const declarations = shared<Declarations>('declarations', () => ({
  byPrototype: new WeakMap(),
  byFunction: new WeakMap(),
  names: new Set(),
  fresh: new Set(),
}));

/** Those of this prototype itself. */
export const ownDeclarations = (prototype: object): readonly Declaration[] =>
  declarations.byPrototype.get(prototype) ?? NONE;

export function declare(prototype: object, declaration: Declaration): void {
  const own = declarations.byPrototype.get(prototype);
  if (own) own.push(declaration);
  else declarations.byPrototype.set(prototype, [declaration]);
  declarations.names.add(declaration.method);
  declarations.fresh.add(prototype);
}

/**
 * The callbacks that instances of a prototype have: those of its base classes first, and in each class as written. A
 * subclass that declares a method for the same event again replaces the options and keeps the place.
 */
export function declarationsOf(prototype: object | null): readonly Declaration[] {
  if (!prototype || prototype === Object.prototype) return NONE;
  const inherited = declarationsOf(Object.getPrototypeOf(prototype) as object | null);
  const [declared, copied] = [ownDeclarations(prototype), copiesTo(prototype, inherited)];
  const own = copied.length === 0 ? declared : [...declared, ...copied];
  if (own.length === 0) return inherited;
  if (inherited.length === 0) return own;
  return [
    ...inherited.map((base) => own.find((declared) => isSame(declared, base)) ?? base),
    ...own.filter((declared) => !inherited.some((base) => isSame(declared, base))),
  ];
}

/** The name by which a callback is known, given that of its class. */
export const idOf = ({ method, options }: Declaration, className: string) =>
  options.id ?? `${className || '(anonymous class)'}.${String(method)}`;

/**
 * The functions that a method of a prototype itself has been, the first declared first: what decorators below `@Callback()`
 * note as metadata is on the one that it found.
 */
export function functionsOf(prototype: object, method: string | symbol): readonly Function[] {
  const current: unknown = Object.getOwnPropertyDescriptor(prototype, method)?.value;
  const replaced = new Set<Function>();
  const note = (declaration: Declaration) => {
    if (declaration.declared !== current) replaced.add(declaration.declared);
  };
  for (const declaration of ownDeclarations(prototype)) if (declaration.method === method) note(declaration);
  if (typeof current !== 'function') return [...replaced];
  declarations.byFunction.get(current)?.forEach(note);
  return replaced.size === 0 ? [current] : [...replaced, current];
}

/**
 * What was declared of methods that a mixin has copied from another prototype to this one. Every class of the application
 * comes here, so that this is to cost next to nothing where nothing was copied.
 */
function copiesTo(prototype: object, inherited: readonly Declaration[]): readonly Declaration[] {
  if (declarations.fresh.size > 0) noteFunctions();
  const { names, byFunction } = declarations;
  let copies: Declaration[] | undefined;
  // Looks for the few in the many.
  for (const method of names.size < FEW ? names : Reflect.ownKeys(prototype)) {
    if (!Object.hasOwn(prototype, method) || !names.has(method)) continue;
    const value: unknown = Object.getOwnPropertyDescriptor(prototype, method)?.value;
    const declared = typeof value === 'function' ? byFunction.get(value) : undefined;
    if (!declared) continue;
    const known = [...ownDeclarations(prototype), ...inherited];
    for (const declaration of declared) {
      const copy = declaration.method === method ? declaration : { ...declaration, method };
      if (!known.some((one) => isSame(one, copy))) (copies ??= []).push(copy);
    }
  }
  return copies ?? NONE;
}

const FEW = 16;

function noteFunctions(): void {
  const { fresh, byFunction } = declarations;
  for (const prototype of fresh) {
    for (const declaration of ownDeclarations(prototype)) {
      const method = Object.getOwnPropertyDescriptor(prototype, declaration.method)?.value as unknown;
      if (typeof method !== 'function') continue;
      const noted = byFunction.get(method);
      if (!noted) byFunction.set(method, [declaration]);
      else if (!noted.includes(declaration)) noted.push(declaration);
    }
  }
  fresh.clear();
}

const isSame = (one: Declaration, other: Declaration) => one.method === other.method && one.key === other.key;

const NONE: readonly Declaration[] = [];
