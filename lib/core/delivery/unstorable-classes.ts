import { types } from 'node:util';
import { pathOf, type Refuse } from './unstorable.js';

/**
 * Refuses a class event that is more than its fields: one that extends `Error`, `Map` and the like, and one with private
 * members. An instance that is made of its fields would have all methods, and most of them would fail.
 */
export function refuseInnerState(event: object, refuse: Refuse): void {
  const builtIn = builtInOf(event);
  if (builtIn) refuse('', `an instance of ${builtIn}, whose inner state would not arrive`);
  for (const prototype of prototypesOf(event)) {
    const path = privateMemberOf(prototype);
    if (path) refuse(path, 'private, and would not arrive');
  }
}

/** Whether a function is one of JavaScript itself, of this realm or another: a class that is called `Map` may be anybody's. */
export const isBuiltIn = (type: Function): boolean =>
  BUILT_IN.test(Function.prototype.toString.call(type)) && !type.name.startsWith('bound ');

const BUILT_IN = /\{\s*\[native code\]\s*\}$/;

/** The prototypes of an object, but for that of all objects. */
function* prototypesOf(value: object): Iterable<object> {
  let at = Object.getPrototypeOf(value) as object | null;
  for (; at && Object.getPrototypeOf(at) !== null; at = Object.getPrototypeOf(at) as object) yield at;
}

/** The name of what it inherits from JavaScript itself, if it does. */
function builtInOf(value: object): string | undefined {
  for (const { constructor } of prototypesOf(value)) {
    if (typeof constructor === 'function' && isBuiltIn(constructor)) return constructor.name;
  }
  // Somebody may have given it another prototype.
  return BRANDS.find(([, is]) => is(value))?.[0];
}

const BRANDS: readonly (readonly [name: string, is: (value: object) => boolean])[] = [
  ['Array', Array.isArray],
  ['ArrayBufferView', ArrayBuffer.isView],
  ['ArrayBuffer', types.isAnyArrayBuffer],
  ['Error', types.isNativeError],
  ['Map', types.isMap],
  ['Set', types.isSet],
  ['Date', types.isDate],
  ['RegExp', types.isRegExp],
  ['Promise', types.isPromise],
];

const known = new WeakMap<object, string>();

/** The path of a member that needs what only the constructor can give, as far as the source tells; else nothing. */
function privateMemberOf(prototype: object): string {
  let path = known.get(prototype);
  if (path === undefined) known.set(prototype, (path = privateFieldOf(prototype) || privateAccessOf(prototype)));
  return path;
}

const WORDS = /\/\*[^]*?\*\/|\/\/.*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`/g;

/** A `#field` or `#method()` that belongs to instances and is used. */
function privateFieldOf({ constructor }: object): string {
  if (typeof constructor !== 'function') return '';
  const source = Function.prototype.toString
    .call(constructor)
    .replace(WORDS, (text) => (text.startsWith('`') ? (text.match(/\$\{[^}]*\}/g) ?? []).join(' ') : ' '));
  const names = (pattern: RegExp) => [...source.matchAll(pattern)].map(([, name]) => name);
  const statics = names(/\bstatic\s+(?:(?:async|get|set)\s+|\*\s*)*#([\w$]+)/g);
  const name = names(/\.\s*#([\w$]+)/g).find((used) => !statics.includes(used));
  if (name === undefined) return '';
  // As TypeScript writes `accessor name`.
  return name.endsWith('_accessor_storage') ? `.${name.replace(/_accessor_storage$/, '')}` : `.#${name}`;
}

/** As compilers write `this.#name` for an older JavaScript. */
const COMPILED =
  /(?:classPrivate\w*|class_private_\w+|__private(?:Get|Set|Method))[\w.$)]*\(\s*(?:[\w$]+\s*,\s*)?this\b/;

/** The method or accessor that asks for a private member, where a compiler has replaced those. */
function privateAccessOf(prototype: object): string {
  const members = Object.entries(Object.getOwnPropertyDescriptors(prototype));
  const found = members.find(
    ([name, { value, get, set }]) =>
      name !== 'constructor' &&
      [value, get, set].some(
        (member: unknown) => typeof member === 'function' && COMPILED.test(Function.prototype.toString.call(member)),
      ),
  );
  return found ? pathOf('', found[0]) : '';
}
