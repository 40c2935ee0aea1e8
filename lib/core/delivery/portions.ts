import { type DeliveryFilter, isSearch } from '../engine/delivery-filter.js';
import type { DurableEngine } from '../engine/engine.js';
import type { DiscardPortion, RetriedPortion, RetryPortion } from '../engine/retry-portion.js';

/** Watches and stops what is done in portions. */
export interface PortionsOptions {
  /** Is told after each portion how many deliveries have been done so far. */
  readonly onProgress?: (done: number) => void;
  /** Stops after the portion that is under way. What is done by then stays done. */
  readonly signal?: AbortSignal;
}

/** Yields how many deliveries each portion has done. */
type Portions = AsyncGenerator<number>;

/**
 * How many deliveries the engine is asked for at once, and how many ids it is given. On Postgres it locks so many rows for some
 * 20 ms. With fewer, what each portion costs by itself adds up.
 */
const PORTION = 400;

/**
 * Does one portion after the other. Resolves to the number of deliveries that were done.
 *
 * @param failed makes the error of an engine that fails half-way
 */
export async function inPortions(
  { onProgress, signal }: PortionsOptions,
  portions: Portions,
  failed: (done: number, cause: unknown) => Error,
): Promise<number> {
  let done = 0;
  while (!signal?.aborted) {
    const portion = await portions.next().catch((cause: unknown) => {
      throw failed(done, cause);
    });
    if (portion.done) break;
    done += portion.value;
    onProgress?.(done);
  }
  return done;
}

export async function* retryPortions(engine: DurableEngine, filter: DeliveryFilter): Portions {
  for (const part of partsOf(filter)) yield* series((after) => engine.retry(part, { limit: PORTION, ...after }));
}

/** What is dead after what waits: what dies meanwhile is removed, too, and what is retried meanwhile is left. */
export async function* discardPortions(
  engine: DurableEngine,
  { state, ...filter }: DeliveryFilter & Pick<DiscardPortion, 'state'>,
): Portions {
  const hasEnded = filter.endedAfter !== undefined || filter.endedBefore !== undefined;
  const both = filter.ids && !isSearch(filter) ? [undefined] : hasEnded ? IDLE.slice(1) : IDLE;
  for (const part of partsOf(filter)) {
    for (const one of state ? [state] : both) {
      yield* series((after) => engine.discard(part, { limit: PORTION, ...(one && { state: one }), ...after }));
    }
  }
}

const IDLE = ['waiting', 'dead'] as const;

/** Has one portion done after the other, until there is no more. */
async function* series(portionAfter: (after: Pick<RetryPortion, 'after'>) => Promise<RetriedPortion>): Portions {
  let after: string | undefined;
  do {
    const portion = await portionAfter(after === undefined ? {} : { after });
    yield portion.count;
    after = portion.after;
  } while (after !== undefined);
}

/** Divides the ids of a filter among several. A filter without ids is one. */
export function partsOf<Filter extends DeliveryFilter>(filter: Filter): Filter[] {
  if (!filter.ids) return [filter];
  const ids = [...new Set(filter.ids)];
  const parts: Filter[] = [];
  for (let at = 0; at < ids.length; at += PORTION) parts.push({ ...filter, ids: ids.slice(at, at + PORTION) });
  return parts;
}
