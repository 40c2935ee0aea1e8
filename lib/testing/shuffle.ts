import { createHash } from 'node:crypto';

/** Orders callbacks by a seed. When one is added or removed, the others keep their order among themselves. */
export function shuffled<T extends { readonly id: string }>(
  seed: number,
  event: string,
  callbacks: readonly T[],
): readonly T[] {
  const times = new Map<string, number>();
  const placed = callbacks.map((callback) => {
    // Several callbacks may have the same id.
    const time = (times.get(callback.id) ?? 0) + 1;
    times.set(callback.id, time);
    const place = createHash('sha256').update(JSON.stringify([seed, event, callback.id, time]));
    return { callback, place: place.digest('hex') };
  });
  return placed.sort((one, other) => (one.place < other.place ? -1 : 1)).map(({ callback }) => callback);
}
