import type { ContextId, ExternalContextCreator } from '@nestjs/core';
import type { EventKey } from '../events/event-map.js';
import {
  declareParameters,
  filtersCreatorOf,
  hostOf,
  type NestModule,
  STATIC_CONTEXT,
  type Wrapper,
} from './internals.js';
import type { FunctionsOf } from './method-metadata.js';
import { explainFailure } from './written-for-requests.js';

/** A callback as its guards, interceptors, pipes and filters see it. */
export interface Enhanced {
  readonly event: EventKey;
  readonly id: string;
  readonly method: string | symbol;
  readonly prototype: object;
  readonly wrapper: Wrapper;
  readonly module: NestModule;
  readonly functionsOf: FunctionsOf;
}

/** Which enhancers a method has that need more than Nest does for them by itself. */
export interface Needs {
  readonly pipes: boolean;
  readonly filters: boolean;
}

type Call = (...args: unknown[]) => unknown;

/** Calls a method through its enhancers, as Nest calls a handler through them. */
export class EnhancedMethod {
  /** The calls of an instance that exists once, by the number of arguments: Nest must know how many there are. */
  private readonly byCount = new Map<number, Call>();

  constructor(
    private readonly creator: ExternalContextCreator,
    private readonly callback: Enhanced,
    private readonly handler: Function,
    private readonly needs: Needs,
  ) {}

  /** @param contextId the context in which enhancers that depend on the request are made, if the instance does */
  call(target: object, contextId: ContextId | undefined, args: readonly unknown[]): unknown {
    if (contextId) return this.create(target, contextId, args.length)(...args);
    let created = this.byCount.get(args.length);
    if (!created) this.byCount.set(args.length, (created = this.create(target, STATIC_CONTEXT, args.length)));
    return created(...args);
  }

  private create(target: object, contextId: ContextId, count: number): Call {
    const { prototype, method, wrapper } = this.callback;
    const { pipes, filters } = this.needs;
    const inner = this.creator.create(
      target as never,
      this.handler as never,
      String(method),
      pipes ? declareParameters(prototype.constructor, String(method), count) : undefined,
      pipes ? { exchangeKeyForValue: (_type, index, args) => (args as unknown[])[index as number] } : undefined,
      contextId,
      wrapper.id,
      { guards: true, interceptors: true, filters: false },
      'event',
    ) as (...args: unknown[]) => Promise<unknown>;
    return filters ? this.withFilters(inner, target, contextId) : inner;
  }

  /**
   * Adds the filters. Those that Nest itself would add see neither event nor callback, and log what the failure report
   * logs.
   */
  private withFilters(inner: Call, target: object, contextId: ContextId): Call {
    const { callback, handler } = this;
    const { module, wrapper, prototype } = callback;
    const filters = filtersCreatorOf(this.creator).create(target, handler, module.token, contextId, wrapper.id);
    return async (...args) => {
      try {
        return await inner(...args);
      } catch (error) {
        const recovered = await recoveredBy(() =>
          filters.invokeCustomFilters(error, hostOf(args, prototype.constructor, handler)),
        );
        // A filter that returns nothing has not handled it, as everywhere in Nest outside HTTP (Nest 11 says null).
        if (recovered === undefined || recovered === null) throw error;
        return recovered;
      }
    };
  }
}

/** What filters make of a failure, which may be a failure of their own. */
async function recoveredBy(filters: () => unknown): Promise<unknown> {
  try {
    return await filters();
  } catch (error) {
    explainFailure(error, 'filter');
    throw error;
  }
}
