import { Inject, Injectable } from '@nestjs/common';
import { ApplicationConfig, ExternalContextCreator } from '@nestjs/core';
import { enhancerUnavailable } from '../errors/callback-errors.js';
import { type CompleteOptions, EVENTS_SETTINGS } from '../options/events.options.js';
import { type Enhanced, EnhancedMethod } from './enhanced-method.js';
import { handlerOf } from './event-host.js';
import { chainOf, metadataOf } from './method-metadata.js';
import { notingRefusals } from './guard-refusals.js';
import { explainingFailures } from './written-for-requests.js';
import {
  creatorLike,
  creatorWithin,
  enhancerDependenciesOf,
  ENHANCERS,
  enhancersOf,
  staticInstanceOf,
} from './internals.js';

type Kind = (typeof ENHANCERS)[number];
const [GUARDS, INTERCEPTORS, PIPES, FILTERS] = ENHANCERS;

/** Applies guards, interceptors, pipes and filters to the callbacks that have some, as Nest applies them to any handler. */
@Injectable()
export class Enhancers {
  private readonly creator: ExternalContextCreator;
  private readonly globals: ReadonlyMap<Kind, () => readonly unknown[]>;

  constructor(
    @Inject(ExternalContextCreator) external: ExternalContextCreator,
    @Inject(ApplicationConfig) private readonly config: ApplicationConfig,
    @Inject(EVENTS_SETTINGS) private readonly options: CompleteOptions,
  ) {
    this.creator = creatorLike(external, options.appliesGlobalEnhancers);
    this.globals = new Map<Kind, () => readonly unknown[]>([
      [GUARDS, () => config.getGlobalGuards()],
      [INTERCEPTORS, () => config.getGlobalInterceptors()],
      [PIPES, () => config.getGlobalPipes()],
      [FILTERS, () => config.getGlobalFilters()],
    ]);
  }

  /**
   * The way to call this callback through its enhancers; `undefined` when it has none, and is to be called directly.
   *
   * @throws EVENTS_ENHANCER_UNAVAILABLE when one of them could not be applied
   */
  methodOf(callback: Enhanced): EnhancedMethod | undefined {
    const { method, id, prototype, module, functionsOf } = callback;
    const isGlobal = this.options.appliesGlobalEnhancers;
    if (!isGlobal && !declaresAny(callback)) return undefined;
    const handler = handlerOf(callback, metadataOf(prototype, method, functionsOf));
    const declared = (kind: Kind) =>
      [prototype.constructor, handler].flatMap((place) => (Reflect.getMetadata(kind.key, place) as unknown[]) ?? []);
    for (const kind of ENHANCERS) {
      for (const enhancer of declared(kind)) requireApplicable(callback, kind, enhancer);
    }
    if (isGlobal) this.refuseGlobalsPerRequest(id);
    const has = (kind: Kind) => declared(kind).length > 0 || (isGlobal && this.globals.get(kind)!().length > 0);
    if (!ENHANCERS.some(has)) return undefined;
    const needs = { pipes: has(PIPES), filters: has(FILTERS) };
    requireReadable(callback, needs.pipes);
    return new EnhancedMethod(
      creatorWithin(this.creator, module, notingRefusals, explainingFailures),
      callback,
      handler,
      needs,
    );
  }

  /**
   * Refuses an instance of another class than was promised at boot, as a factory that runs per request may make one: the
   * enhancers of that class, if it has any, would not apply.
   *
   * @throws EVENTS_ENHANCER_UNAVAILABLE
   */
  refuseOthers({ id, method, prototype, functionsOf }: Enhanced, actual: object): void {
    if (actual === prototype) return;
    const declared = (key: string, at: object) => [
      ...((Reflect.getMetadata(key, at.constructor) as unknown[] | undefined) ?? []),
      ...((metadataOf(at, method, functionsOf).get(key) as unknown[] | undefined) ?? []),
    ];
    for (const { key, decorator } of ENHANCERS) {
      const known = declared(key, prototype);
      if (declared(key, actual).some((enhancer) => !known.includes(enhancer))) {
        throw enhancerUnavailable(
          id,
          decorator,
          `a factory made it of ${actual.constructor.name}, which was not known at boot`,
        );
      }
    }
  }

  private refuseGlobalsPerRequest(id: string): void {
    const perRequest = [
      ...this.config.getGlobalRequestGuards(),
      ...this.config.getGlobalRequestInterceptors(),
      ...this.config.getGlobalRequestPipes(),
      ...this.config.getGlobalRequestFilters(),
    ];
    if (perRequest.length === 0) return;
    throw enhancerUnavailable(
      id,
      'global enhancers',
      `${perRequest.map(({ name }) => String(name)).join(', ')} depends on the request, of which Nest makes no instance for an event`,
    );
  }
}

/**
 * Refuses an enhancer that Nest would leave out in silence, as it does where it finds no instance. A guard that is left out
 * lets everybody pass.
 */
function requireApplicable(callback: Enhanced, kind: Kind, enhancer: unknown): void {
  const { id, wrapper, module } = callback;
  const { decorator, does } = kind;
  if (typeof enhancer !== 'function') {
    if (typeof (enhancer as Record<string, unknown> | null)?.[does] === 'function') return;
    throw enhancerUnavailable(id, decorator, `one of them has no method ${does}()`);
  }
  const host = enhancersOf(module).get(enhancer);
  // Another class of the module may have brought it: then Nest would not construct it for this one.
  const isBound = host?.isDependencyTreeStatic() || enhancerDependenciesOf(wrapper).includes(host!);
  if (!host || !isBound) {
    throw enhancerUnavailable(
      id,
      decorator,
      isReplaced(callback, kind, enhancer)
        ? `Nest does not find ${enhancer.name} there, since a decorator above it puts another function in the place of the method: write that one below`
        : `${module.name} does not know ${enhancer.name}, since Nest reads enhancers only from classes that it creates itself`,
    );
  }
  // One that depends on the request is created with each run.
  if (!host.isDependencyTreeStatic()) return;
  const { instance, isResolved } = staticInstanceOf(host, wrapper.id);
  if (!isResolved || typeof (instance as Record<string, unknown>)[does] !== 'function') {
    throw enhancerUnavailable(id, decorator, `there is no instance of ${enhancer.name} with a method ${does}()`);
  }
}

/** Whether the function that was decorated is the method no more. */
function isReplaced({ prototype, method, functionsOf }: Enhanced, { key }: Kind, enhancer: unknown): boolean {
  const has = (one: Function | undefined) => one && (Reflect.getOwnMetadata(key, one) as unknown[])?.includes(enhancer);
  return [...chainOf(prototype)].some((at) => {
    const functions = functionsOf(at, method);
    return functions.some(has) && !has(functions.at(-1));
  });
}

/** Refuses a callback whose enhancers or parameters Nest could not read. */
function requireReadable({ id, method, prototype, wrapper }: Enhanced, hasPipes: boolean): void {
  const instance = wrapper.instance as object | undefined;
  if (instance && instance.constructor !== prototype.constructor) {
    throw enhancerUnavailable(
      id,
      'enhancers',
      'its instance has a constructor of its own, by which Nest would look for them',
    );
  }
  if (hasPipes && typeof method === 'symbol') {
    throw enhancerUnavailable(
      id,
      PIPES.decorator,
      'Nest cannot read the parameters of a method whose name is a symbol',
    );
  }
}

/** Has a quick look, for the many callbacks without: at the class and its bases, at the method and what it overrides. */
function declaresAny({ prototype, method, functionsOf }: Enhanced): boolean {
  for (const at of chainOf(prototype)) {
    if (hasOwnEnhancer(at.constructor) || functionsOf(at, method).some(hasOwnEnhancer)) return true;
  }
  // Nest looks along these too, which need not be the constructors of those.
  let base: unknown = Object.getPrototypeOf(prototype.constructor);
  for (; base && base !== Function.prototype; base = Object.getPrototypeOf(base)) {
    if (hasOwnEnhancer(base)) return true;
  }
  return false;
}

const KEYS: readonly unknown[] = ENHANCERS.map(({ key }) => key);
const hasOwnEnhancer = (place: unknown) =>
  typeof place === 'function' && Reflect.getOwnMetadataKeys(place).some((key) => KEYS.includes(key));
