import type { DurableCallback, DurableEngine, NewDelivery, StoredError } from '../../engine/index.js';
import { error, moment, type Scene } from './scene.js';

/** How many deliveries have ended, as the counts tell. */
export async function endedOf(scene: Scene, engine: DurableEngine): Promise<number> {
  const { event } = scene.delivery();
  const found = (await engine.counts()).find((one) => one.event === event);
  return (found?.lastHour?.dead ?? 0) + (found?.lastHour?.completed ?? 0);
}

/** Stores deliveries that fail for good with some errors, one after the other, and later ones with another. */
export async function buried(
  scene: Scene,
  engine: DurableEngine,
  callback: DurableCallback,
  errors: readonly StoredError[],
): Promise<NewDelivery[]> {
  const began = new Set<string>();
  scene.attempts(engine, callback, (attempt) => {
    const { delivery } = attempt;
    const isAgain = began.has(delivery.id);
    began.add(delivery.id);
    return attempt.bury(isAgain ? { ...error, code: 'again' } : errors[Number(delivery.headers!.place)]);
  });
  const stored: NewDelivery[] = [];
  for (const at of errors.keys()) {
    const delivery = scene.delivery({ headers: { place: `${at}` } });
    await engine.store([delivery]);
    await scene.until('it is dead', async () => (await scene.counts(engine)).dead === at + 1);
    stored.push(delivery);
    // So that no two are stored, or die, at the same time.
    await moment(10);
  }
  return stored;
}
