import { type ContextId, ContextIdFactory, type ModuleRef } from '@nestjs/core';
import { REQUEST_CONTEXT_ID } from '@nestjs/core/router/request/request-constants.js';
import { type CurrentEvent, describeRun } from './current-event.js';
import type { EventsCore } from './events-core.js';
import type { RegisteredEvent } from './registered-event.js';

/**
 * The context in which one run, or one background attempt, gets its request-scoped instances. All callbacks of the run
 * share it; nothing but the run holds it, so that its instances go when the run ends.
 */
export class RunScope {
  private contextId: ContextId | undefined;

  /** @param sharesRequest whether the instances are those of the HTTP request that `current` names */
  constructor(
    private readonly current: CurrentEvent,
    private readonly sharesRequest: boolean,
  ) {}

  /** Nest's id of this context, in which `REQUEST` injects the request, or else the current event. */
  idFor(moduleRef: ModuleRef): ContextId {
    return (this.contextId ??= this.sharesRequest ? this.ofRequest(moduleRef) : this.ofEvent(moduleRef));
  }

  private ofEvent(moduleRef: ModuleRef): ContextId {
    const id = ContextIdFactory.getByRequest(this.current);
    moduleRef.registerRequestByContextId(this.current, id);
    return id;
  }

  /** Nest has made one for the request if the controller is request-scoped; else this does, as Nest would. */
  private ofRequest(moduleRef: ModuleRef): ContextId {
    const request = this.current.request as Record<symbol, unknown> & { raw?: Record<symbol, unknown> };
    const id = ContextIdFactory.getByRequest(request);
    if (request[REQUEST_CONTEXT_ID] ?? request.raw?.[REQUEST_CONTEXT_ID]) return id;
    Object.defineProperty(request, REQUEST_CONTEXT_ID, { value: id });
    moduleRef.registerRequestByContextId(Object.assign(request, payloadOf(id)), id);
    return id;
  }
}

/** The scope of the inline callbacks of a run; `undefined` when none of them needs one. */
export const scopeOfRun = (
  core: EventsCore,
  event: RegisteredEvent,
  args: readonly unknown[],
  request: object | undefined,
): RunScope | undefined =>
  event.isScoped ? new RunScope(describeRun(core, event, args, request), request !== undefined) : undefined;

/** The scope of one background attempt, which may outlive the request. */
export const scopeOfAttempt = (
  core: EventsCore,
  event: RegisteredEvent,
  args: readonly unknown[],
  request: object | undefined,
): RunScope | undefined => (event.isScoped ? new RunScope(describeRun(core, event, args, request), false) : undefined);

/** What a durable strategy attached to the context. */
const payloadOf = (id: ContextId) => (id as { payload?: unknown }).payload;
