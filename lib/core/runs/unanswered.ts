import { nobodyAnswers } from '../errors/run-errors.js';
import { type EventKey, eventLabel } from '../events/event-map.js';
import type { KnownAddress } from '../engine/delivery.js';
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
    /** Asks the store, if there is one, which callbacks the applications that share it have. */
    private readonly elsewhere: () => Promise<readonly KnownAddress[]>,
  ) {}

  /** @throws EVENTS_NOBODY_ANSWERS when strict */
  meet(event: EventKey): void {
    if (this.isStrict) throw this.errorFor(event);
    if (this.met.has(event) || this.met.size >= MOST_REMEMBERED) return;
    this.met.add(event);
    if (process.env.NODE_ENV !== 'production') this.failures.logger.warn(this.errorFor(event).message);
    void this.lookElsewhere(event);
  }

  /** Warns, in production too, of an event that another application answers durably: nothing was stored for it. */
  private async lookElsewhere(key: EventKey): Promise<void> {
    const event = eventLabel(key);
    try {
      const found = (await this.elsewhere()).filter((address) => address.event === event && !address.isRemote);
      if (found.length === 0) return;
      const ids = found.map(({ callback }) => callback);
      this.failures.logger.warn(
        `"${event}" was run, and nothing was stored for ${ids.join(', ')}, which other applications on the same store have. ` +
          `If that is to perform it, name it: EventsModule.forRoot({ remote: [{ event: ${typeof key === 'string' ? `'${key}'` : event}, callback: '${ids[0]}' }] }).`,
      );
    } catch (error) {
      this.failures.log('debug', `Whether other applications answer "${event}" could not be found out`, error);
    }
  }

  private errorFor(event: EventKey) {
    return nobodyAnswers(eventLabel(event), hintFor(event, this.known()));
  }
}

function hintFor(event: EventKey, known: readonly EventKey[]): string {
  const label = eventLabel(event);
  if (typeof event === 'string') {
    const pattern = known.find((key) => typeof key === 'string' && fits(event, key));
    if (pattern) return `"${eventLabel(pattern)}" is answered, but names are matched exactly.`;
    if (event.includes('*')) return 'Names are matched exactly: run each event by its own.';
  } else {
    const base = known.find((key) => typeof key === 'function' && event.prototype instanceof key);
    if (base) return `${eventLabel(base)} is answered, but a class event matches its exact class only.`;
  }
  if (known.some((key) => eventLabel(key) === label)) {
    return `Another event called "${label}" is answered: a name and a class, or two classes, are two events.`;
  }
  const near = nearest(label, known.map(eventLabel));
  if (near) return `Did you mean "${near}"?`;
  const declare = typeof event === 'string' ? `'${event}'` : label;
  return `Declare one with @Callback(${declare}) on a provider of an imported module, or check the name.`;
}

/** Whether a name is one of those that somebody may have meant by another, in which an asterisk stands for any text. */
function fits(name: string, pattern: string): boolean {
  if (!pattern.includes('*') || name === pattern) return false;
  const parts = pattern.split(/\*+/).map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`, 's').test(name);
}
