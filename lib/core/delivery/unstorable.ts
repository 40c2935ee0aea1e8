/** Refuses an argument for what is found at a path in it. */
export type Refuse = (path: string, what: string) => never;

/** The brand of an object, whatever made it: Math is no plain object, and no class of a user is a URL. */
export const tagOf = (value: object) => Object.prototype.toString.call(value).slice('[object '.length, -1);

export const pathOf = (path: string, name: string) =>
  /^[\w$]+$/.test(name) ? `${path}.${name}` : `${path}[${JSON.stringify(name)}]`;

/**
 * Refuses properties that somebody has added to an array, a date and the like, as they would not arrive; and holes, which
 * would arrive as `undefined`.
 */
export function refuseMore(value: object, path: string, refuse: Refuse): void {
  refuseSymbols(value, path, refuse);
  // Their keys are too many to look through.
  if (ArrayBuffer.isView(value)) return;
  const names = Object.keys(value);
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

export function refuseSymbols(value: object, path: string, refuse: Refuse): void {
  const symbol = Object.getOwnPropertySymbols(value).find((key) =>
    Object.prototype.propertyIsEnumerable.call(value, key),
  );
  if (symbol) refuse(`${path}[${String(symbol)}]`, 'named by a symbol');
}
