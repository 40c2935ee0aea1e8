import { messageOf } from '../errors/thrown.js';

/** Refuses an argument for what is found at a path in it. */
export type Refuse = (path: string, what: string) => never;

/** The brand of an object, whatever made it: Math is no plain object, and no class of a user is a URL. */
export const tagOf = (value: object) => Object.prototype.toString.call(value).slice('[object '.length, -1);

export const pathOf = (path: string, name: string) =>
  /^[\w$]+$/.test(name) ? `${path}.${name}` : `${path}[${JSON.stringify(name)}]`;

/**
 * Refuses properties that somebody has added to an array, a date and the like, as they would not arrive; and holes, which
 * would arrive as `undefined`.
 *
 * @param own a property that it always has
 */
export function refuseMore(value: object, path: string, refuse: Refuse, own?: string): void {
  refuseSymbols(value, path, refuse);
  // Their keys are too many to look through.
  if (ArrayBuffer.isView(value)) return;
  const names = Object.getOwnPropertyNames(value);
  if (own !== undefined) names.splice(names.lastIndexOf(own), 1);
  const items = Array.isArray(value) ? value.length : 0;
  const isMore = (name: string) =>
    !(String(Number(name)) === name && Number.isInteger(Number(name)) && Number(name) < items);
  // Indices come first.
  if (names.length > 0 && isMore(names[names.length - 1])) {
    refuse(pathOf(path, names.find(isMore)!), `a property that its ${tagOf(value)} would arrive without`);
  }
  if (names.length === items) return;
  const hole = names.findIndex((name, index) => name !== String(index));
  refuse(`${path}[${hole === -1 ? names.length : hole}]`, 'a hole');
}

/** Refuses fields that nobody sees who looks through them, as they would not arrive. */
export function refuseHidden(value: object, path: string, refuse: Refuse): void {
  refuseSymbols(value, path, refuse);
  const hidden = Object.getOwnPropertyNames(value).find(
    (name) => !Object.prototype.propertyIsEnumerable.call(value, name),
  );
  if (hidden !== undefined) refuse(pathOf(path, hidden), 'not enumerable, and would not arrive');
}

function refuseSymbols(value: object, path: string, refuse: Refuse): void {
  const [symbol] = Object.getOwnPropertySymbols(value);
  if (symbol) refuse(`${path}[${String(symbol)}]`, 'named by a symbol');
}

/** Reads a field, which may be a getter. */
export function fieldOf(value: object, name: string, path: string, refuse: Refuse): unknown {
  try {
    return (value as Record<string, unknown>)[name];
  } catch (error) {
    return refuse(path, `not readable: ${messageOf(error)}`);
  }
}
