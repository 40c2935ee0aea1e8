import assert from 'node:assert/strict';
import type { DeliveryQuery, DurableEngine, KeptDelivery, RetriedPortion } from '../../engine/index.js';

/** No list of a rule has more pages, though an engine looks at one delivery for each. */
const MOST_PAGES = 100;

/** The pages of a list, up to the one after which there is none. */
export async function* pages(engine: DurableEngine, query: DeliveryQuery): AsyncGenerator<readonly KeptDelivery[]> {
  let after: string | undefined;
  for (let count = 0; count < MOST_PAGES; count++) {
    const page = await engine.list({ ...query, ...(after !== undefined && { after }) });
    assert.ok(page.found.length <= query.limit, 'a page is longer than asked for');
    assert.ok(page.scanned >= page.found.length, 'it has found more than it has looked at');
    yield page.found;
    after = page.after;
    if (after === undefined) return;
  }
  assert.fail('the list does not end');
}

export async function allPages(engine: DurableEngine, query: DeliveryQuery): Promise<KeptDelivery[]> {
  const all: KeptDelivery[] = [];
  for await (const page of pages(engine, query)) all.push(...page);
  return all;
}

/** Does something in portions, up to the one after which there is none. Answers with what all of them have done. */
export async function inPortions(
  portionAfter: (after: { readonly after?: string }) => Promise<RetriedPortion>,
): Promise<number> {
  let [sum, after] = [0, undefined as string | undefined];
  for (let count = 0; count < MOST_PAGES; count++) {
    const portion = await portionAfter(after === undefined ? {} : { after });
    sum += portion.count;
    after = portion.after;
    if (after === undefined) return sum;
  }
  return assert.fail('the series does not end');
}

export const idsOf = (deliveries: readonly { readonly id: string }[]) => deliveries.map(({ id }) => id);
