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
  /** Prototypes whose methods are not in {@link byFunction} yet: decorators above may still replace them. */
  fresh: WeakRef<object>[];
}

const declarations = shared<Declarations>('declarations', () => ({
  byPrototype: new WeakMap(),
  byFunction: new WeakMap(),
  fresh: [],
}));

/** Those of this prototype itself. */
export const ownDeclarations = (prototype: object): readonly Declaration[] =>
  declarations.byPrototype.get(prototype) ?? NONE;

export function declare(prototype: object, declaration: Declaration): void {
  const own = declarations.byPrototype.get(prototype);
  if (own) own.push(declaration);
  else declarations.byPrototype.set(prototype, [declaration]);
  declarations.fresh.push(new WeakRef(prototype));
}

/**
 * The callbacks that instances of a prototype have: those of its base classes first, and in each class as written. A
 * subclass that declares a method for the same event again replaces the options and keeps the place.
 */
export function declarationsOf(prototype: object | null): readonly Declaration[] {
  if (!prototype || prototype === Object.prototype) return NONE;
  const inherited = declarationsOf(Object.getPrototypeOf(prototype) as object | null);
  const own = [...ownDeclarations(prototype), ...copiesTo(prototype, inherited)];
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
  const current = Object.getOwnPropertyDescriptor(prototype, method)?.value as unknown;
  const own = ownDeclarations(prototype).filter((declaration) => declaration.method === method);
  const copied = typeof current === 'function' ? (declarations.byFunction.get(current) ?? NONE) : NONE;
  const functions = [...own, ...copied].map(({ declared }) => declared);
  return [...new Set(typeof current === 'function' ? [...functions, current] : functions)];
}

const copies = new WeakMap<object, readonly Declaration[]>();

/** What was declared of methods that a mixin has copied from another prototype to this one. */
function copiesTo(prototype: object, inherited: readonly Declaration[]): readonly Declaration[] {
  let copied = copies.get(prototype);
  if (!copied) copies.set(prototype, (copied = findCopies(prototype, inherited)));
  return copied;
}

function findCopies(prototype: object, inherited: readonly Declaration[]): readonly Declaration[] {
  noteFunctions();
  const known = [...ownDeclarations(prototype), ...inherited];
  return Reflect.ownKeys(prototype).flatMap((method) => {
    const { value } = Object.getOwnPropertyDescriptor(prototype, method)!;
    const declared = typeof value === 'function' ? declarations.byFunction.get(value as Function) : undefined;
    return (declared ?? NONE)
      .map((declaration) => ({ ...declaration, method }))
      .filter((copy) => !known.some((one) => isSame(one, copy)));
  });
}

function noteFunctions(): void {
  for (const ref of new Set(declarations.fresh.map((fresh) => fresh.deref()))) {
    for (const declaration of ref ? ownDeclarations(ref) : NONE) {
      const method = Object.getOwnPropertyDescriptor(ref, declaration.method)?.value as unknown;
      if (typeof method !== 'function') continue;
      const noted = declarations.byFunction.get(method) ?? [];
      if (!noted.includes(declaration)) declarations.byFunction.set(method, [...noted, declaration]);
    }
  }
  declarations.fresh = [];
}

const isSame = (one: Declaration, other: Declaration) => one.method === other.method && one.key === other.key;

const NONE: readonly Declaration[] = [];
