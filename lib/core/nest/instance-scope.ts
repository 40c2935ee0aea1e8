import { type ContextId, ContextIdFactory, type ModuleRef } from '@nestjs/core';
import { noteInstance, noteRequestContext, requestContextOf } from './internals.js';
import type { Wrapper } from './internals.js';
import { NESTS, scopedInstance } from './scoped-instance.js';

/** An event on its way to a callback, as `REQUEST` injects it; with the HTTP request that it was run in, if it was. */
interface ScopedEvent {
  readonly request?: object;
}

/**
 * Gives one run, or one background or durable attempt, its request-scoped instances. All inline callbacks of a run share
 * it. Only the run holds it, so that its instances go when the run ends.
 */
export class InstanceScope {
  private contextId: ContextId | undefined;
  /** The instances that were made here. Nest gets them all, and this ends, when Nest must be asked for another. */
  private made: Map<Wrapper, unknown> | undefined = new Map();

  /** @param sharesRequest whether the instances are those of the HTTP request that `current` names */
  constructor(
    private readonly current: ScopedEvent,
    private readonly sharesRequest: boolean,
  ) {}

  /** Nest's id of this context, in which `REQUEST` injects the HTTP request, or else the current event. */
  idFor(moduleRef: ModuleRef): ContextId {
    const id = this.id;
    if (!this.made) return id;
    if (this.sharesRequest) this.introduceRequest(moduleRef, id);
    else moduleRef.registerRequestByContextId(this.current, id);
    for (const [wrapper, instance] of this.made) noteInstance(wrapper, id, instance);
    this.made = undefined;
    return id;
  }

  /** The instance in this context, if it can be made at once; else {@link NESTS}: then resolve it by {@link idFor}. */
  instanceOf(wrapper: Wrapper, moduleRef: ModuleRef): unknown {
    const { current, made } = this;
    // A request has the instances of its controller; a context of a durable strategy has those of its parents.
    if (!made || this.sharesRequest || 'getParent' in this.id) return NESTS;
    return scopedInstance(wrapper, { current, made }, moduleRef);
  }

  private get id(): ContextId {
    return (this.contextId ??= ContextIdFactory.getByRequest(
      (this.sharesRequest ? this.current.request : this.current) as object,
    ));
  }

  /**
   * Nest has made a context for the request if the controller is request-scoped. Otherwise this makes it, as Nest would.
   */
  private introduceRequest(moduleRef: ModuleRef, id: ContextId): void {
    const request = this.current.request!;
    if (requestContextOf(request)) return;
    noteRequestContext(request, id);
    moduleRef.registerRequestByContextId(Object.assign(request, payloadOf(id)), id);
  }
}

/** The payload that a durable strategy has attached to the context. */
const payloadOf = (id: ContextId) => (id as { payload?: unknown }).payload;
