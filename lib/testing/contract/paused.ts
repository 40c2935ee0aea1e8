import { type DurableCallback, type DurableEngine, timers } from '../../engine/index.js';

const { sleep } = timers;

/** After so long all instances heed a pause. */
export const HEEDED_MS = 1_000;

export const addressOf = ({ event, callback }: DurableCallback) => ({ event, callback });

/** Pauses a callback, and waits until all instances heed that. */
export async function pause(engine: DurableEngine, callback: DurableCallback): Promise<void> {
  await engine.pause!(addressOf(callback));
  await sleep(HEEDED_MS);
}

export const resume = (engine: DurableEngine, callback: DurableCallback) => engine.resume!(addressOf(callback));

export async function pausedSince(
  engine: DurableEngine,
  { event, callback }: DurableCallback,
): Promise<Date | undefined> {
  return (await engine.counts()).find((one) => one.event === event && one.callback === callback)?.pausedSince;
}
