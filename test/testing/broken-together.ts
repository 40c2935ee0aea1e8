/** Engines that break a rule where several things hold deliveries up. */
import type { EngineAttempt } from 'nestjs-callbacks/engine';
import { type Break, performing } from './breaking.js';

/** Pauses nothing. */
const sleepless: Break = () => ({ pause: async () => 1 });

/** Settles an attempt only when another is at an end, which cannot begin. */
const clinging = (end: 'postpone' | 'retryIn'): Break =>
  performing((): Partial<EngineAttempt> => ({ [end]: () => new Promise(() => {}) }));

export const brokenTogether: Record<string, Break> = {
  'heeds the pause of a callback with limits, and begins within them when it is resumed': sleepless,
  'heeds the pause of a callback with limits of groups, and begins within them when it is resumed': sleepless,
  'lets another delivery have the place of one that was postponed': clinging('postpone'),
  'lets another delivery have the place of one that is to be tried again': clinging('retryIn'),
};
