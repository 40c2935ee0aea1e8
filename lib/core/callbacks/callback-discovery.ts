import { Inject, Injectable } from '@nestjs/common';
import { DiscoveryService, ModuleRef } from '@nestjs/core';
import { type Declaration, declarationsOf, idOf } from './callback.decorator.js';
import type { DeliveryMode } from '../options/callback.options.js';
import type { Orderable } from './callback-order.js';
import { engineMissing } from '../errors/delivery-errors.js';
import { completeDurableOptions } from '../options/durable.options.js';
import { type EnhancedCall, Enhancers } from '../nest/enhancers.js';
import { callbackInvalid } from '../errors/callback-errors.js';
import { type EventKey, eventLabel } from '../events/event-map.js';
import { type CompleteOptions, EVENTS_SETTINGS } from '../options/events.options.js';
import type { NestModule, Wrapper } from '../nest/nest-modules.js';
import type { DurableSettings, RegisteredCallback } from './registered-event.js';
import { SafeLogger } from '../reports/safe-logger.js';
import { NESTS } from '../nest/scoped-instance.js';
import { awaitable } from '../async/promises.js';

/** A callback found, before it has its place in the order of its event. */
export interface Found extends RegisteredCallback, Orderable {
  readonly declaration: Declaration;
  readonly wrapper: Wrapper;
}

/** Finds what the `@Callback()`s of Nest's providers and controllers declare, and how each is to be called. */
@Injectable()
export class CallbackDiscovery {
  private readonly logger = new SafeLogger('EventsModule');
  private readonly warned = new Set<string>();

  constructor(
    @Inject(DiscoveryService) private readonly discovery: DiscoveryService,
    @Inject(Enhancers) private readonly enhancers: Enhancers,
    @Inject(EVENTS_SETTINGS) private readonly settings: CompleteOptions,
  ) {}

  /** The controllers of a module, then its providers, as listed. */
  wrappersOf(module: NestModule): Wrapper[] {
    return [...this.discovery.getControllers({}, [module]), ...this.discovery.getProviders({}, [module])];
  }

  /**
   * All callbacks of these modules by event, in the order of the modules, of their lists and of the methods.
   *
   * @param onProblem is told what is wrong with a callback, which is then left out
   */
  read(modules: readonly NestModule[], onProblem: (event: EventKey, problem: unknown) => void): Map<EventKey, Found[]> {
    const byEvent = new Map<EventKey, Found[]>();
    const instances = new Set<object>();
    const hosts = new Map<unknown, NestModule>();
    for (const module of modules) {
      for (const wrapper of this.wrappersOf(module)) {
        const prototype = wrapper.isAlias ? null : prototypeOf(wrapper);
        const declarations = declarationsOf(prototype);
        if (!prototype || declarations.length === 0) continue;
        const { instance } = wrapper as { instance: object | undefined };
        if (instance && instances.has(instance)) continue;
        if (instance) instances.add(instance);
        // A token of another kind, or a factory, is no mistake: it makes what it is asked for.
        if (wrapper.token === prototype.constructor && !wrapper.isNotMetatype) {
          const first = hosts.get(wrapper.token);
          if (first === module && !wrapper.isDependencyTreeStatic()) {
            const { name } = prototype.constructor;
            onProblem(
              declarations[0].key,
              callbackInvalid(
                idOf(declarations[0], name),
                `two request-scoped hosts: ${name} is both a controller and a provider of ${module.name}`,
                'Remove it from the providers.',
              ),
            );
          }
          if (first && isSameByMistake(first, module)) {
            this.warnOfTwice(prototype.constructor.name, first, module);
            continue;
          }
          hosts.set(wrapper.token, first ?? module);
        }
        for (const declaration of declarations) {
          const found = byEvent.get(declaration.key) ?? [];
          byEvent.set(declaration.key, found);
          try {
            found.push(this.register(declaration, wrapper, module, prototype));
          } catch (problem) {
            onProblem(declaration.key, problem);
          }
        }
      }
    }
    return byEvent;
  }

  private register(declaration: Declaration, wrapper: Wrapper, module: NestModule, prototype: object): Found {
    const { key, method, options } = declaration;
    const id = idOf(declaration, prototype.constructor.name);
    const delivery = options.delivery ?? 'inline';
    const enhanced = this.enhancers.callOf({ event: key, id, method, prototype, wrapper, module });
    return {
      id,
      delivery,
      isOptional: options.optional ?? false,
      target: wrapper.instance as RegisteredCallback['target'],
      method,
      invoke: this.hooked(declaration, id, wrapper, this.invocation(id, wrapper, module, prototype, method, enhanced)),
      durable: delivery === 'durable' ? this.durableSettings(id, declaration) : undefined,
      declaration,
      wrapper,
      stage: STAGES.findIndex((stage) => stage.includes(delivery)),
      before: toArray(options.before),
      after: toArray(options.after),
      isOf: (target) => wrapper.token === target || prototype === target.prototype || prototype instanceof target,
    };
  }

  private durableSettings(id: string, { key, options }: Declaration): DurableSettings {
    const { engine, durable } = this.settings;
    if (!engine) throw engineMissing(`${id} asks for durable deliveries of "${eventLabel(key)}"`);
    return {
      ...completeDurableOptions(options, durable),
      isOrdered: options.ordered ?? false,
      formerly: toArray(options.formerly),
    };
  }

  /** How to call what is more than a method of one instance; `undefined` for the rest, which costs a call and no more. */
  private invocation(
    id: string,
    wrapper: Wrapper,
    module: NestModule,
    prototype: object,
    method: string | symbol,
    enhanced: EnhancedCall | undefined,
  ): RegisteredCallback['invoke'] {
    if (!wrapper.isTransient && wrapper.isDependencyTreeStatic()) {
      return enhanced && ((args) => enhanced(wrapper.instance as object, undefined, args));
    }
    const moduleRef = module.providers.get(ModuleRef)!.instance as ModuleRef;
    return (args, scope) => {
      const callOn = (target: RegisteredCallback['target']) => {
        this.enhancers.refuseOthers(id, Object.getPrototypeOf(target) as object, prototype, method);
        return enhanced ? enhanced(target, scope.idFor(moduleRef), args) : target[method](...args);
      };
      const instance = scope.instanceOf(wrapper, moduleRef);
      if (instance !== NESTS) return callOn(instance as RegisteredCallback['target']);
      return moduleRef
        .resolve<RegisteredCallback['target']>(wrapper.token as never, scope.idFor(moduleRef), { strict: true })
        .then((target) => {
          const result = callOn(target);
          return awaitable(result) ?? result;
        });
    };
  }

  /** A test kit may do something else instead. */
  private hooked(
    { key, method, options: { delivery = 'inline' } }: Declaration,
    id: string,
    wrapper: Wrapper,
    invoke: RegisteredCallback['invoke'],
  ): RegisteredCallback['invoke'] {
    const { call } = this.settings.hooks ?? {};
    if (!call) return invoke;
    const callback = { event: key, callback: id, delivery };
    const really = invoke ?? ((args) => (wrapper.instance as RegisteredCallback['target'])[method](...args));
    return (args, scope) => call(callback, args, () => really(args, scope));
  }

  private warnOfTwice(name: string, first: NestModule, second: NestModule): void {
    const message =
      first === second
        ? `${name} is both a controller and a provider of ${first.name}, so Nest makes two instances of it. ` +
          'Its callbacks run once, on the controller. Remove it from the providers.'
        : `${name} is provided by ${first.name} and by ${second.name}, so Nest makes two instances of it. ` +
          `Its callbacks run once, on the one of ${first.name}. Export it there, and remove it from the providers of ${second.name}.`;
    if (!this.warned.has(message)) this.logger.warn(message);
    this.warned.add(message);
  }
}

/**
 * The prototype whose declarations count: the instance's own, as a factory or an override may provide something else
 * than the class that was asked for. A factory that runs per request has made nothing yet, and is taken at its token's
 * word.
 */
function prototypeOf(wrapper: Wrapper): object | null {
  const instance = wrapper.instance as unknown;
  if (typeof instance === 'object' && instance !== null) return Object.getPrototypeOf(instance) as object | null;
  const type = (wrapper.isNotMetatype ? wrapper.token : wrapper.metatype) as Function | null;
  return typeof type === 'function' && !instance ? (type.prototype as object | null) : null;
}

/** Several instances of one dynamic module each have their own on purpose. */
const isSameByMistake = (first: NestModule, second: NestModule) =>
  first === second || first.metatype !== second.metatype;

/** The sequence of a run. */
const STAGES: readonly (readonly DeliveryMode[])[] = [
  ['inline'],
  ['durable'],
  ['after-commit', 'after-rollback'],
  ['background'],
];

const NONE: readonly never[] = [];

const toArray = <T>(value: T | readonly T[] | undefined): readonly T[] =>
  value === undefined ? NONE : Array.isArray(value) ? value : [value as T];
