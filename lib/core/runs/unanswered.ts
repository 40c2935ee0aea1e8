import { nobodyAnswers } from '../errors/run-errors.js';
import { type EventKey, eventLabel } from '../events/event-map.js';
import type { Failures } from '../reports/failures.js';
import { nearest } from '../errors/did-you-mean.js';

const MOST_REMEMBERED = 1_000;

/** Meets runs of events that no callback answers: they are fine, but told of once, since a mistyped name looks the same. */
export class Unanswered {
  private readonly met = new Set<EventKey>();

  constructor(
    private readonly isStrict: boolean,
    private readonly failures: Failures,
    private readonly known: () => readonly EventKey[],
  ) {}

  /** @throws EVENTS_NOBODY_ANSWERS when strict */
  meet(event: EventKey): void {
    if (this.isStrict) throw this.errorFor(event);
    if (process.env.NODE_ENV === 'production' || this.met.has(event) || this.met.size >= MOST_REMEMBERED) return;
    this.met.add(event);
    this.failures.logger.warn(this.errorFor(event).message);
  }

  private errorFor(event: EventKey) {
    const label = eventLabel(event);
    const known = this.known();
    const base = known.find(
      (key) => typeof key === 'function' && typeof event === 'function' && event.prototype instanceof key,
    );
    const near = nearest(label, known.map(eventLabel));
    const declare = typeof event === 'string' ? `'${event}'` : label;
    const hint = base
      ? `${eventLabel(base)} is answered, but a class event matches its exact class only.`
      : known.some((key) => eventLabel(key) === label)
        ? `Another event called "${label}" is answered: a name and a class, or two classes, are two events.`
        : near
          ? `Did you mean "${near}"?`
          : `Declare one with @Callback(${declare}) on a provider of an imported module, or check the name.`;
    return nobodyAnswers(label, hint);
  }
}
