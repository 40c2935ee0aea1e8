import { nobodyAnswers } from './errors.js';
import type { Failures } from './failures.js';
import { nearest } from './near.js';

const MOST_REMEMBERED = 1_000;

/** Events that were run and that no callback answers: fine, but told once, since a mistyped name looks the same. */
export class Unanswered {
  private readonly met = new Set<string>();

  constructor(
    private readonly isStrict: boolean,
    private readonly failures: Failures,
    private readonly known: () => readonly string[],
  ) {}

  /** @throws EVENTS_NOBODY_ANSWERS when strict */
  meet(event: string): void {
    if (this.isStrict) throw nobodyAnswers(event, nearest(event, this.known()));
    if (process.env.NODE_ENV === 'production' || this.met.has(event) || this.met.size >= MOST_REMEMBERED) return;
    this.met.add(event);
    this.failures.warn(nobodyAnswers(event, nearest(event, this.known())).message);
  }
}
