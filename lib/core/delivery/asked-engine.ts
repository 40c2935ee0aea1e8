import type { CallbackRegistry } from '../callbacks/callback-registry.js';
import type { DeliveryAddress } from '../engine/delivery.js';
import type { DurableEngine, EngineCapabilities } from '../engine/engine.js';
import type { DeliveryFilter } from '../engine/delivery-filter.js';
import { engineLacks, engineMissing, queryInvalid } from '../errors/delivery-errors.js';
import { show } from '../errors/describe.js';
import { nearest } from '../errors/did-you-mean.js';
import type { Checks } from '../options/option-checks.js';
import type { OutsideCalls } from '../reports/outside-calls.js';
import type { DeclaredCallbacks } from './declared-callbacks.js';
import { refuseWrong, requireSelection, WATCHING_CHECKS } from './delivery-selection.js';
import type { PortionsOptions } from './portions.js';
import type { RunningEngine } from './running-engine.js';

/** What is asked of the engine about deliveries, by a method of `EventDeliveries`. */
export interface Asked {
  readonly method: string;
  readonly query: DeliveryFilter;
  /** The checks of the query. */
  readonly checks: Checks;
  /** What not every engine can. */
  readonly needs?: keyof EngineCapabilities;
  /** What of the call needs that, where other calls of the method do not. */
  readonly asking?: string;
  readonly watching?: PortionsOptions;
}

/** Gives the engine to who asks about deliveries, once what is asked makes sense. */
export class AskedEngine {
  constructor(
    private readonly registry: CallbackRegistry,
    private readonly running: Pick<RunningEngine, 'isConfigured'>,
    private readonly declared: DeclaredCallbacks,
    private readonly outsideCalls: OutsideCalls,
  ) {}

  /** The durable callbacks of this instance. */
  get known(): DeliveryAddress[] {
    return this.registry.durable.flatMap(({ label, durable }) =>
      durable.map(({ id }) => ({ event: label, callback: id })),
    );
  }

  /** @throws EVENTS_QUERY_INVALID, EVENTS_ENGINE_MISSING, EVENTS_ENGINE_FAILED, EVENTS_ENGINE_UNSUITED, EVENTS_CLOSED */
  async for({ method, query, checks, needs, asking, watching = {} }: Asked): Promise<DurableEngine> {
    requireSelection(method, query, checks);
    refuseWrong(method, watching, WATCHING_CHECKS);
    this.outsideCalls.note(`EventDeliveries.${method}()`);
    if (!this.running.isConfigured) throw engineMissing(`EventDeliveries.${method}() was called`);
    const engine = await this.declared.open();
    if (needs && !engine.capabilities[needs])
      throw engineLacks(engine.name, `EventDeliveries.${method}()${asking ? ` with ${asking}` : ''}`);
    await this.refuseUnknown(method, query, engine);
    return engine;
  }

  /** Refuses an event or an id that nobody knows: a mistyped one would look like one that has no deliveries. */
  private async refuseUnknown(method: string, query: DeliveryFilter, engine: DurableEngine): Promise<void> {
    for (const field of ['event', 'callback'] as const) {
      const asked = query[field];
      if (asked === undefined || this.known.some((address) => address[field] === asked)) continue;
      const names = [...this.known, ...(await engine.addresses())].map((address) => address[field]);
      if (names.includes(asked)) continue;
      const near = nearest(asked, names);
      const found = `${field}: ${show(asked)}, ${field === 'event' ? 'of' : 'to'} which no deliveries go`;
      throw queryInvalid(method, found, near ? `Did you mean "${near}"?` : 'Call counts() for those that have some.');
    }
  }
}
