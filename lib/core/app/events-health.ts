import { within } from '../async/time-limits.js';
import { LONGEST_TIMER_MS } from '../async/timers.js';
import type { DeliveryCounts } from '../engine/kept-delivery.js';
import { providedByHabit } from '../errors/callback-errors.js';
import { healthInvalid } from '../errors/delivery-errors.js';
import { sentenceOf, show } from '../errors/describe.js';
import { EventsError } from '../errors/events-error.js';
import { type Checks, IS_DURATION, isCount, isWhole, wrongOption } from '../options/option-checks.js';
import type { Runtime } from '../runs/runtime.js';
import { type EventsHealthState, NOTHING, stateOf } from './health-state.js';

/** From when on a health check says that something is down. */
export interface EventsHealthOptions {
  /**
   * The most dead deliveries that there may be, over all callbacks.
   * @default none
   */
  readonly maxDead?: number;
  /**
   * The longest time for which a delivery that waits may have been due, in milliseconds. Those of paused callbacks may be due for longer.
   * @default none
   */
  readonly maxOldestMs?: number;
  /**
   * How many milliseconds the engine has to answer.
   * @default 2_000
   */
  readonly timeoutMs?: number;
}

const CHECKS: Checks = {
  maxDead: isCount(0),
  maxOldestMs: IS_DURATION,
  timeoutMs: {
    isValid: isWhole(1, 1, LONGEST_TIMER_MS),
    expected: 'Pass milliseconds, 1 or more and 24 days at most.',
  },
};

/** How long checks share a look into the store. Where one hangs for longer, the next may well be answered, and no third is begun. */
const SHARED_MS = 10_000;
const MOST_LOOKS = 2;

/** A look into the store, which others may share. */
interface Look {
  readonly since: number;
  readonly counts: Promise<readonly DeliveryCounts[]>;
}

/** Says whether the engine works, and what lies in its store: inject it where you answer health checks. */
export class EventsHealth {
  private look: Look | undefined;
  private looks = 0;

  /** @internal Nest makes it: inject it. */
  constructor(private readonly runtime: Runtime) {
    if (!runtime) throw providedByHabit(new.target);
  }

  /**
   * Asks the engine what it keeps. It is `'down'` if the engine does not answer, and `'up'` whatever lies in the store, unless
   * that is more than the options allow. The result is what `HealthCheckService` of `@nestjs/terminus` takes.
   *
   * @example
   * this.health.check([() => this.eventsHealth.check('events')]); // by @nestjs/terminus
   * const { events } = await this.eventsHealth.check('events', { maxDead: 100 });
   *
   * @throws EVENTS_QUERY_INVALID
   */
  async check<Key extends string = 'events'>(
    key: Key = 'events' as Key,
    options: EventsHealthOptions = {},
  ): Promise<Record<Key, EventsHealthState>> {
    refuseWrong(key, options);
    return { [key]: await this.state(options) } as Record<Key, EventsHealthState>;
  }

  private async state({ timeoutMs = 2_000, ...limits }: EventsHealthOptions): Promise<EventsHealthState> {
    const { engine, inFlight } = this.runtime;
    const closed = { status: 'down', message: 'The application has closed.' } as const;
    if (inFlight.isClosed) return closed;
    if (!this.needsEngine) return { status: 'up', ...NOTHING };
    const { name } = engine;
    try {
      const counts = await within(timeoutMs, this.counts(), { keepsProcess: false });
      return stateOf(name, counts, limits);
    } catch (error) {
      if (inFlight.isClosed) return closed;
      return { status: 'down', engine: name, message: `The engine ${name} does not work: ${reasonOf(error)}` };
    }
  }

  /** An application without durable callbacks starts its engine only when somebody asks for deliveries. */
  private get needsEngine(): boolean {
    const { engine, registry } = this.runtime;
    return engine.current !== undefined || (engine.isConfigured && registry.durable.length > 0);
  }

  /** Checks that overlap share what they ask. */
  private counts(): Promise<readonly DeliveryCounts[]> {
    const now = performance.now();
    if (this.look && (now - this.look.since < SHARED_MS || this.looks >= MOST_LOOKS)) return this.look.counts;
    const counts = this.runtime.engine.start().then((engine) => engine.counts());
    const look = (this.look = { since: now, counts });
    this.looks++;
    const forget = () => {
      this.looks--;
      if (this.look === look) this.look = undefined;
    };
    counts.then(forget, forget);
    return counts;
  }
}

function refuseWrong(key: unknown, options: object): void {
  if (typeof key !== 'string' || key === '') {
    throw healthInvalid(`${show(key)} as its key`, "Pass a name, and options after it: check('events', { … }).");
  }
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw healthInvalid(show(options), 'Pass an object.');
  }
  const wrong = wrongOption(options, CHECKS);
  if (wrong) throw healthInvalid(`${wrong.option}: ${show(wrong.value)}`, wrong.remedy);
}

/** Whoever sees the health of an application is not to see its secrets: an address may hold a password. */
function reasonOf(error: unknown): string {
  const reason = error instanceof EventsError && error.cause !== undefined ? error.cause : error;
  return sentenceOf(reason).replaceAll(/\b[a-z][\w+.-]*:\/\/\S+/gi, '…');
}
