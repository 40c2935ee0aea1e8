import { types } from 'node:util';
import { Inject, Injectable } from '@nestjs/common';
import { DiscoveryService } from '@nestjs/core';
import { generatorFound } from '../errors/callback-errors.js';
import { engineMissing } from '../errors/delivery-errors.js';
import { type EventKey, eventLabel } from '../events/event-map.js';
import { Enhancers } from '../nest/enhancers.js';
import type { NestModule, Wrapper } from '../nest/internals.js';
import { prototypeOf } from '../nest/wrappers.js';
import type { DeliveryMode } from '../options/callback.options.js';
import { completeDurableOptions } from '../options/durable.options.js';
import { completeLimits } from '../options/limits.options.js';
import { type CompleteOptions, EVENTS_SETTINGS } from '../options/events.options.js';
import { SafeLogger } from '../reports/safe-logger.js';
import { isGenerator } from './callback.decorator.js';
import { type Declaration, declarationsOf, idOf } from './declarations.js';
import { CallbackHosts, type Host, type OnProblem } from './callback-hosts.js';
import type { Orderable } from './callback-order.js';
import { invocationOf } from './invocation.js';
import type { DurableSettings, RegisteredCallback } from './registered-event.js';

/** A callback that was found, before it has its place in the order of its event. */
export interface Found extends RegisteredCallback, Orderable {
  readonly declaration: Declaration;
  readonly wrapper: Wrapper;
  /** The class that has it. */
  readonly type: Function;
}

/** Finds the callbacks that Nest's providers and controllers declare, and how each is to be called. */
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

  /** Finds all callbacks of these modules by event, in the order of the modules, of their lists and of the methods. */
  read(modules: readonly NestModule[], onProblem: OnProblem): Map<EventKey, Found[]> {
    const byEvent = new Map<EventKey, Found[]>();
    const hosts = new CallbackHosts(onProblem, (warning) => this.warn(warning));
    for (const module of modules) {
      for (const wrapper of this.wrappersOf(module)) {
        const prototype = wrapper.isAlias ? null : prototypeOf(wrapper);
        const declarations = declarationsOf(prototype);
        if (!prototype || declarations.length === 0) {
          // What hides its class looks like any object.
          if (prototype === null || prototype === Object.prototype) this.warnOfHidden(wrapper);
          continue;
        }
        const host = { wrapper, module, prototype };
        if (hosts.admit(host, declarations)) this.readHost(host, declarations, byEvent, onProblem);
      }
    }
    return byEvent;
  }

  private readHost(
    host: Host,
    declarations: readonly Declaration[],
    byEvent: Map<EventKey, Found[]>,
    onProblem: OnProblem,
  ): void {
    for (const declaration of declarations) {
      const found = byEvent.get(declaration.key) ?? [];
      byEvent.set(declaration.key, found);
      try {
        found.push(this.register(declaration, host));
      } catch (problem) {
        onProblem(declaration.key, problem);
      }
    }
  }

  private register(declaration: Declaration, host: Host): Found {
    const { key, method, options } = declaration;
    const { wrapper, prototype } = host;
    const id = idOf(declaration, prototype.constructor.name);
    const delivery = options.delivery ?? 'inline';
    if (isGenerator(methodOf(wrapper.instance ?? prototype, method))) {
      throw generatorFound(`${prototype.constructor.name}.${String(method)}`);
    }
    return {
      id,
      delivery,
      isOptional: options.optional ?? false,
      target: wrapper.instance as RegisteredCallback['target'],
      method,
      invoke: invocationOf({ event: key, id, delivery, method }, host, this.enhancers, this.settings.around.call),
      durable: delivery === 'durable' ? this.durableSettings(id, declaration) : undefined,
      declaration,
      wrapper,
      type: prototype.constructor,
      stage: STAGES.findIndex((stage) => stage.includes(delivery)),
      before: toArray(options.before),
      after: toArray(options.after),
      token: wrapper.token,
      prototype,
    };
  }

  private durableSettings(id: string, { key, options }: Declaration): DurableSettings {
    const { engine, durable } = this.settings;
    if (!engine) throw engineMissing(`${id} asks for durable deliveries of "${eventLabel(key)}"`);
    return {
      ...completeDurableOptions(options, durable),
      isOrdered: options.ordered ?? false,
      formerly: toArray(options.formerly),
      ...(options.limits && { limits: completeLimits(options.limits) }),
      isRemote: false,
    };
  }

  /** A proxy that does not show its class shows no callbacks either. */
  private warnOfHidden({ token, instance, isAlias, isNotMetatype }: Wrapper): void {
    if (isAlias || !isNotMetatype || typeof token !== 'function' || !types.isProxy(instance)) return;
    if (declarationsOf(token.prototype as object | null).length === 0) return;
    this.warn(
      `${token.name} is provided by a proxy that hides its class, so its callbacks are not called. Give the proxy a trap ` +
        `getPrototypeOf: () => ${token.name}.prototype, or have the callbacks in a provider that is no proxy.`,
    );
  }

  /** Warns once of each: modules are read again when a module is loaded later. */
  warn(message: string): void {
    if (!this.warned.has(message)) this.logger.warn(message);
    this.warned.add(message);
  }
}

/** The function that is called: an override's, which may be a property of the instance. Getters are not asked. */
function methodOf(target: object, method: string | symbol): unknown {
  for (let at: object | null = target; at; at = Object.getPrototypeOf(at) as object | null) {
    const found = Object.getOwnPropertyDescriptor(at, method);
    if (found) return found.value;
  }
  return undefined;
}

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
