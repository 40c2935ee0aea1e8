import { Inject, Injectable } from '@nestjs/common';
import { ApplicationConfig, type ContextId, ExternalContextCreator, type NestContainer } from '@nestjs/core';
import { ExecutionContextHost } from '@nestjs/core/helpers/execution-context-host.js';
import { STATIC_CONTEXT } from '@nestjs/core/injector/constants.js';
import { enhancerUnavailable } from '../errors/callback-errors.js';
import type { EventKey } from '../events/event-map.js';
import { handlerOf } from './event-host.js';
import { type GuardsConsumer, notingRefusals } from './guard-refusals.js';
import { EVENTS_SETTINGS, type CompleteOptions } from '../options/events.options.js';
import type { NestModule, Wrapper } from './nest-modules.js';

/** A callback as its guards, interceptors, pipes and filters see it. */
export interface Enhanced {
  readonly event: EventKey;
  readonly id: string;
  readonly method: string | symbol;
  readonly prototype: object;
  readonly wrapper: Wrapper;
  readonly module: NestModule;
}

/** Calls a method through its enhancers. */
export type EnhancedCall = (target: object, contextId: ContextId | undefined, args: readonly unknown[]) => unknown;

const KINDS = [
  { key: '__guards__', decorator: '@UseGuards()', does: 'canActivate' },
  { key: '__interceptors__', decorator: '@UseInterceptors()', does: 'intercept' },
  { key: '__pipes__', decorator: '@UsePipes()', does: 'transform' },
  { key: '__exceptionFilters__', decorator: '@UseFilters()', does: 'catch' },
] as const;
const [, , PIPES, FILTERS] = KINDS;

/** Nest's own way of applying enhancers to any method, for the callbacks that have some. */
@Injectable()
export class Enhancers {
  private readonly creator: ExternalContextCreator;

  constructor(
    @Inject(ExternalContextCreator) external: ExternalContextCreator,
    @Inject(ApplicationConfig) private readonly config: ApplicationConfig,
    @Inject(EVENTS_SETTINGS) private readonly options: CompleteOptions,
  ) {
    // Global enhancers are read from the container's configuration: without one, there are none.
    const { container } = external as unknown as { container: NestContainer };
    this.creator = ExternalContextCreator.fromContainer(
      options.appliesGlobalEnhancers
        ? container
        : (Object.create(container, { applicationConfig: { value: undefined } }) as NestContainer),
    );
  }

  /**
   * The way to call this callback through its enhancers; `undefined` when it has none, and is to be called directly.
   *
   * @throws EVENTS_ENHANCER_UNAVAILABLE when one of them could not be applied
   */
  callOf(callback: Enhanced): EnhancedCall | undefined {
    const { event, id, method, prototype, wrapper, module } = callback;
    if (!this.options.appliesGlobalEnhancers && !declaresAny(prototype, method)) return undefined;
    const handler = handlerOf(event, id, prototype, method);
    const places = [prototype.constructor, handler];
    const declared = (key: string) => places.flatMap((place) => (Reflect.getMetadata(key, place) as unknown[]) ?? []);
    this.refuseWhatCannotApply(callback, declared);
    const has = (kind: (typeof KINDS)[number]) => declared(kind.key).length > 0 || this.globals(kind).length > 0;
    if (!KINDS.some(has)) return undefined;
    const instance = wrapper.instance as object | undefined;
    if (instance && instance.constructor !== prototype.constructor) {
      throw enhancerUnavailable(
        id,
        'enhancers',
        `its instance has a constructor of its own, by which Nest would look for them`,
      );
    }
    if (has(PIPES) && typeof method === 'symbol') {
      throw enhancerUnavailable(
        id,
        PIPES.decorator,
        'Nest cannot read the parameters of a method whose name is a symbol',
      );
    }

    const creator = Object.create(this.creator, {
      getContextModuleKey: { value: () => module.token },
      getHostModuleKey: { value: () => module.token },
      // Nest 11 keeps what it knows of a method for good, whatever the number of arguments.
      handlerMetadataStorage: { value: { get() {}, set() {} } },
      guardsConsumer: {
        value: notingRefusals((this.creator as unknown as { guardsConsumer: GuardsConsumer }).guardsConsumer),
      },
    }) as ExternalContextCreator;
    // Not the filters of create(): they see neither event nor callback, and log what the failure report logs.
    const { filtersContextCreator } = creator as unknown as { filtersContextCreator: FiltersContextCreator };
    const hasPipes = has(PIPES);
    const hasFilters = has(FILTERS);
    const name = String(method);

    const create = (target: object, contextId: ContextId, count: number) => {
      const inner = creator.create(
        target as never,
        handler as never,
        name,
        hasPipes ? argumentsKey(prototype.constructor, method, count) : undefined,
        hasPipes ? { exchangeKeyForValue: (_type, index, args) => (args as unknown[])[index as number] } : undefined,
        contextId,
        wrapper.id,
        { guards: true, interceptors: true, filters: false },
        'event',
      ) as (...args: unknown[]) => Promise<unknown>;
      if (!hasFilters) return inner;
      const filters = filtersContextCreator.create(target, handler, module.token, contextId, wrapper.id);
      return async (...args: unknown[]) => {
        try {
          return await inner(...args);
        } catch (error) {
          const host = new ExecutionContextHost(args, prototype.constructor as never, handler);
          host.setType('event');
          const recovered: unknown = filters.invokeCustomFilters(error, host);
          // As everywhere in Nest outside HTTP: a filter that returns nothing has not handled it (Nest 11 says null).
          if (recovered === undefined || recovered === null) throw error;
          return recovered;
        }
      };
    };

    const byCount = new Map<number, (...args: unknown[]) => unknown>();
    return (target, contextId, args) => {
      if (contextId) return create(target, contextId, args.length)(...args);
      let created = byCount.get(args.length);
      if (!created) byCount.set(args.length, (created = create(target, STATIC_CONTEXT, args.length)));
      return created(...args);
    };
  }

  /**
   * A factory that runs per request may return another class than it promised at boot: its own enhancers, if it has
   * any, would not apply.
   *
   * @throws EVENTS_ENHANCER_UNAVAILABLE
   */
  refuseOthers(id: string, actual: object, expected: object, method: string | symbol): void {
    if (actual === expected) return;
    const declared = (key: string, { constructor, [method]: handler }: Record<string | symbol, object>) =>
      [constructor, handler].map((place) => Reflect.getMetadata(key, place) as unknown);
    for (const { key, decorator } of KINDS) {
      const known = declared(key, expected as Record<string | symbol, object>);
      const found = declared(key, actual as Record<string | symbol, object>);
      if (found.some((metadata, place) => metadata !== undefined && metadata !== known[place])) {
        throw enhancerUnavailable(
          id,
          decorator,
          `a factory made it of ${actual.constructor.name}, which was not known at boot`,
        );
      }
    }
  }

  private globals({ key }: (typeof KINDS)[number]): readonly unknown[] {
    if (!this.options.appliesGlobalEnhancers) return [];
    if (key === '__guards__') return this.config.getGlobalGuards();
    if (key === '__interceptors__') return this.config.getGlobalInterceptors();
    return key === '__pipes__' ? this.config.getGlobalPipes() : this.config.getGlobalFilters();
  }

  /** Nest leaves out in silence what it finds no instance of. A guard that is left out lets everybody pass. */
  private refuseWhatCannotApply({ id, wrapper, module }: Enhanced, declared: (key: string) => unknown[]): void {
    for (const { key, decorator, does } of KINDS) {
      for (const enhancer of declared(key)) {
        if (typeof enhancer !== 'function') {
          if (typeof (enhancer as Record<string, unknown> | null)?.[does] === 'function') continue;
          throw enhancerUnavailable(id, decorator, `one of them has no method ${does}()`);
        }
        const host = module.injectables.get(enhancer);
        // Another class of the module may have brought it: then Nest would not construct it for this one.
        const isBound = host?.isDependencyTreeStatic() || wrapper.getEnhancersMetadata()?.includes(host!);
        if (!host || !isBound) {
          throw enhancerUnavailable(
            id,
            decorator,
            `${module.name} does not know ${enhancer.name}, since Nest reads enhancers only from classes that it creates itself`,
          );
        }
        // One that depends on the request is created with each run.
        if (!host.isDependencyTreeStatic()) continue;
        const { instance, isResolved } = host.getInstanceByContextId(STATIC_CONTEXT, wrapper.id);
        if (!isResolved || typeof (instance as Record<string, unknown>)[does] !== 'function') {
          throw enhancerUnavailable(id, decorator, `there is no instance of ${enhancer.name} with a method ${does}()`);
        }
      }
    }
    if (!this.options.appliesGlobalEnhancers) return;
    const perRequest = [
      ...this.config.getGlobalRequestGuards(),
      ...this.config.getGlobalRequestInterceptors(),
      ...this.config.getGlobalRequestPipes(),
      ...this.config.getGlobalRequestFilters(),
    ];
    if (perRequest.length > 0) {
      throw enhancerUnavailable(
        id,
        'global enhancers',
        `${perRequest.map(({ name }) => String(name)).join(', ')} depends on the request, of which Nest makes no instance for an event`,
      );
    }
  }
}

/** A quick look for the many callbacks without: at the class and its bases, at the method and what it overrides. */
function declaresAny(prototype: object, method: string | symbol): boolean {
  for (let at: object | null = prototype; at && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    const declared = Object.getOwnPropertyDescriptor(at, method)?.value as unknown;
    if (hasOwnEnhancer(at.constructor) || hasOwnEnhancer(declared)) return true;
  }
  // Nest looks along these too, which need not be the constructors of those.
  let base: unknown = Object.getPrototypeOf(prototype.constructor);
  for (; base && base !== Function.prototype; base = Object.getPrototypeOf(base)) {
    if (hasOwnEnhancer(base)) return true;
  }
  return false;
}

const KEYS: readonly unknown[] = KINDS.map(({ key }) => key);
const hasOwnEnhancer = (place: unknown) =>
  typeof place === 'function' && Reflect.getOwnMetadataKeys(place).some((key) => KEYS.includes(key));

interface FiltersContextCreator {
  create(
    target: object,
    handler: Function,
    moduleKey: string,
    contextId: ContextId,
    inquirerId: string,
  ): { invokeCustomFilters(error: unknown, host: ExecutionContextHost): unknown };
}

/** As `@Body()` would be: Nest's own pipes leave parameters of custom decorators alone. */
const PARAMETER_TYPE_BODY = 3;

/** Tells Nest to run pipes over each of `count` arguments: it knows only parameters that a decorator has declared. */
function argumentsKey(type: Function, method: string | symbol, count: number): string {
  const key = `nestjs-callbacks:arguments:${count}`;
  const parameters = Array.from({ length: count }, (_, index) => [
    `${PARAMETER_TYPE_BODY}:${index}`,
    { index, data: index, pipes: [] },
  ]);
  Reflect.defineMetadata(key, Object.fromEntries(parameters), type, String(method));
  return key;
}
