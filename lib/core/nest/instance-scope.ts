import { type ContextId, ContextIdFactory, type ModuleRef } from '@nestjs/core';
import { REQUEST_CONTEXT_ID } from '@nestjs/core/router/request/request-constants.js';
import { type CurrentEvent, describeRun } from '../callbacks/current-event.js';
import type { EventsCore } from '../app/shutdown.js';
import type { Wrapper } from './nest-modules.js';
import type { RegisteredEvent } from '../callbacks/registered-event.js';
import { NESTS, scopedInstance } from './scoped-instance.js';

/**
 * The context in which one run, or one background attempt, gets its request-scoped instances. All callbacks of the run
 * share it; nothing but the run holds it, so that its instances go when the run ends.
 */
export class RunScope {
  private contextId: ContextId | undefined;
  /** What was made here, until Nest must be asked for something and is told of it all. */
  private made: Map<Wrapper, unknown> | undefined = new Map();

  /** @param sharesRequest whether the instances are those of the HTTP request that `current` names */
  constructor(
    private readonly current: CurrentEvent,
    private readonly sharesRequest: boolean,
  ) {}

  /** Nest's id of this context, in which `REQUEST` injects the request, or else the current event. */
  idFor(moduleRef: ModuleRef): ContextId {
    const id = this.id;
    if (!this.made) return id;
    if (this.sharesRequest) this.introduceRequest(moduleRef, id);
    else moduleRef.registerRequestByContextId(this.current, id);
    for (const [wrapper, instance] of this.made) wrapper.setInstanceByContextId(id, { instance, isResolved: true });
    this.made = undefined;
    return id;
  }

  /** The instance in this context, if it can be made at once; else {@link NESTS}: resolve it by {@link idFor}. */
  instanceOf(wrapper: Wrapper, moduleRef: ModuleRef): unknown {
    const { current, made } = this;
    // A request has instances of its controller's, a context of a durable strategy those of its parents.
    if (!made || this.sharesRequest || 'getParent' in this.id) return NESTS;
    return scopedInstance(wrapper, { current, made }, moduleRef);
  }

  private get id(): ContextId {
    return (this.contextId ??= ContextIdFactory.getByRequest(this.sharesRequest ? this.request : this.current));
  }

  private get request() {
    return this.current.request as Record<symbol, unknown> & { raw?: Record<symbol, unknown> };
  }

  /** Nest has made a context for the request if the controller is request-scoped; else this does, as Nest would. */
  private introduceRequest(moduleRef: ModuleRef, id: ContextId): void {
    const { request } = this;
    if (request[REQUEST_CONTEXT_ID] ?? request.raw?.[REQUEST_CONTEXT_ID]) return;
    Object.defineProperty(request, REQUEST_CONTEXT_ID, { value: id });
    moduleRef.registerRequestByContextId(Object.assign(request, payloadOf(id)), id);
  }
}

/**
 * A scope for the callbacks of an event; `undefined` when none of them needs one.
 *
 * @param sharesRequest not for a background attempt, which may outlive the request
 */
export const scopeOf = (
  core: EventsCore,
  event: RegisteredEvent,
  args: readonly unknown[],
  request: object | undefined,
  sharesRequest = request !== undefined,
): RunScope | undefined =>
  event.isScoped ? new RunScope(describeRun(core, event, args, request), sharesRequest) : undefined;

/** What a durable strategy attached to the context. */
const payloadOf = (id: ContextId) => (id as { payload?: unknown }).payload;
