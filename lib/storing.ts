import { uuidv7 } from 'uuidv7';
import { delayUseless, keyMissing, storeFailed, storeUnknown } from './durable-errors.js';
import { UnknownOutcomeError } from './engine.js';
import type { EventsCore } from './events-core.js';
import type { RegisteredEvent } from './registered-event.js';
import type { RunContext } from './run-context.js';
import { type Json, storeArguments } from './stored-arguments.js';

/** What one run stores for its durable callbacks, refused as a whole before any callback runs. */
export class Storing {
  private readonly id: string;
  private readonly args: readonly Json[];

  /**
   * @param passed the arguments as they were passed to `run()`, before any schema
   * @throws EVENTS_KEY_MISSING, EVENTS_ARGUMENTS_UNSTORABLE
   */
  constructor(
    private readonly core: EventsCore,
    private readonly event: RegisteredEvent,
    private readonly passed: readonly unknown[],
    private readonly context: RunContext,
  ) {
    const ordered = event.durable.find(({ durable }) => durable!.isOrdered);
    if (ordered && context.key === undefined) throw keyMissing(event.label, ordered.id);
    this.id = context.id?.toLowerCase() ?? uuidv7();
    this.args = this.write();
  }

  get waitsFor(): string {
    return `storing "${this.event.label}"`;
  }

  /** @throws EVENTS_STORE_FAILED, EVENTS_STORE_UNKNOWN, EVENTS_ENGINE_FAILED */
  async store(): Promise<void> {
    const { event, context, id } = this;
    const engine = await this.core.engine.ready(event);
    // Inline callbacks may have changed the arguments; background ones would see that, too.
    const args = event.inline.length > 0 ? this.write() : this.args;
    const deliveries = event.durable.map((callback) => ({
      event: event.label,
      callback: callback.id,
      id,
      arguments: args,
      delayMs: context.delayMs ?? 0,
      ...(context.key !== undefined && { key: context.key }),
    }));
    try {
      await engine.store(deliveries);
    } catch (cause) {
      throw (cause instanceof UnknownOutcomeError ? storeUnknown : storeFailed)(event.label, id, engine.name, cause);
    }
  }

  private write(): readonly Json[] {
    return storeArguments(this.event.label, this.passed, typeof this.event.key === 'function');
  }
}

const NONE: RunContext = {};

/**
 * What a run stores; `undefined` when no durable callback answers the event.
 *
 * @throws EVENTS_WITH_INVALID for a delay that nothing heeds; and as above
 */
export function storingOf(
  core: EventsCore,
  event: RegisteredEvent,
  passed: readonly unknown[],
  context = NONE,
): Storing | undefined {
  if (event.durable.length > 0) return new Storing(core, event, passed, context);
  if (context.delayMs) throw delayUseless(event.label);
  return undefined;
}
