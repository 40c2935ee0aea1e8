import { closest, distance } from 'fastest-levenshtein';

/** The known name that was probably meant by a mistyped one; `undefined` when none is close. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  if (known.length === 0) return undefined;
  const near = closest(name, known);
  return near !== name && distance(name.toLowerCase(), near.toLowerCase()) <= Math.max(1, Math.floor(name.length / 3))
    ? near
    : undefined;
}
