import type { FoundDeliveries } from '../engine/index.js';
import { requireAddress } from './queue-name.js';
import { STRETCHES } from './statements/counts.js';

/** No stretch is counted further. */
const MOST = 10_000;

/** What has ended is counted in the rows themselves, no further than this. */
const MOST_ENDED = 5_000;

/** How many deliveries each round counts, over all queues. */
const FIRST_ROUND = 20_000;
const SECOND_ROUND = 80_000;

/** A stretch of a queue, by its place in {@link STRETCHES}. */
export interface Stretch {
  readonly name: string;
  readonly stretch: number;
}

export interface CountedStretch extends Stretch {
  readonly count: number;
  /** Since when the first of it is due, in milliseconds since 1970; `null` if it is empty. */
  readonly firstDueAt: number | null;
}

/** Counts some stretches, each no further than a limit. */
type Count = (stretches: readonly Stretch[], limit: number) => Promise<readonly CountedStretch[]>;

/**
 * Counts what queues hold, in two rounds: the first counts a little of everything, and what there is more of shares the
 * second. So many queues take no longer than a few, and less of each is counted.
 */
export async function countQueues(names: readonly string[], count: Count): Promise<FoundDeliveries[]> {
  const round = async (stretches: readonly Stretch[], budget: number) => {
    if (stretches.length === 0) return [];
    const most = Math.min(MOST, Math.ceil(budget / stretches.length));
    const counted = await count(stretches, most + 1);
    return counted.map((stretch) => ({ ...stretch, isExact: stretch.count <= most }));
  };
  const first = await round(
    names.flatMap((name) => STRETCHES.map((_, stretch) => ({ name, stretch }))),
    FIRST_ROUND,
  );
  const second = await round(
    first.filter(({ isExact }) => !isExact),
    SECOND_ROUND,
  );
  return [...first.filter(({ isExact }) => isExact), ...second].map(foundIn);
}

/** What has ended of a queue within the last hour. */
export interface CountedEnds {
  readonly name: string;
  readonly dead: number;
  readonly completed: number;
  /** How many it has come to, in whatever state. */
  readonly looked: number;
}

/**
 * Counts what has ended within the last hour, the newest first, no further than a limit that depends on how many queues there
 * are.
 */
export async function countLastHour(
  names: readonly string[],
  count: (limit: number) => Promise<readonly CountedEnds[]>,
): Promise<FoundDeliveries[]> {
  if (names.length === 0) return [];
  const most = Math.min(MOST_ENDED, Math.ceil(FIRST_ROUND / names.length));
  return (await count(most + 1)).map(({ name, dead, completed, looked }) => {
    const { event, callback } = requireAddress(name);
    return { event, callback, lastHour: { dead, completed, isExact: looked <= most } };
  });
}

function foundIn({ name, stretch, ...counted }: CountedStretch & { readonly isExact: boolean }): FoundDeliveries {
  const { event, callback } = requireAddress(name);
  const { count, firstDueAt, isExact } = counted;
  const { of } = STRETCHES[stretch];
  const oldest = of === 'waiting' && firstDueAt !== null ? { oldestDueAt: new Date(firstDueAt) } : undefined;
  return { event, callback, [of]: count, isExact, ...oldest };
}
