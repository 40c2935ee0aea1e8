import { Inject, Injectable, Logger, Scope } from '@nestjs/common';
import { DiscoveryService, ModulesContainer } from '@nestjs/core';
import { STATIC_CONTEXT } from '@nestjs/core/injector/constants.js';
import { type Declaration, declarationsOf } from './callback.decorator.js';
import { isLaterDelivery } from './callback.options.js';
import { inOrder, type Orderable } from './callback-order.js';
import { definitionConflict, deliveryUnavailable, enhancerUnavailable, scopeUnavailable } from './errors.js';
import { type EventKey, eventLabel } from './event-map.js';
import { modulesInOrder, type NestModule } from './module-order.js';
import type { RegisteredCallback, RegisteredEvent } from './registered-event.js';

type Wrapper = ReturnType<DiscoveryService['getProviders']>[number];

/** A callback found, before it has its place in the order of its event. */
interface Found extends RegisteredCallback, Orderable {
  readonly declaration: Declaration;
}

/** Who answers what in this application, in order. Read from Nest's modules once they have their instances. */
@Injectable()
export class CallbackRegistry {
  private readonly logger = new Logger('EventsModule');
  private events: ReadonlyMap<EventKey, RegisteredEvent> = new Map();
  private modulesRead = -1;
  private hasBooted = false;
  private readonly warned = new Set<string>();
  private said = '';

  constructor(
    @Inject(DiscoveryService) private readonly discovery: DiscoveryService,
    @Inject(ModulesContainer) private readonly modules: ModulesContainer,
  ) {}

  /** Whether every module that Nest has loaded is read: a comparison of two numbers. */
  get isCurrent(): boolean {
    return this.modules.size === this.modulesRead;
  }

  /**
   * Reads the modules that came since the last time. `false` while Nest is still creating the application's instances.
   *
   * @throws what is wrong with the callbacks, each time until it is mended
   */
  refresh(): boolean {
    if (this.isCurrent) return true;
    const size = this.modules.size;
    const modules = modulesInOrder(this.modules);
    const created = modules.filter((module) => this.wrappersOf(module).every(isCreated));
    const isComplete = created.length === modules.length;
    // At boot, all wait for all. Later, a lazily loaded module that is still being created joins when it is done.
    if (!isComplete && !this.hasBooted) return false;
    this.take(created);
    if (isComplete) this.modulesRead = size;
    return true;
  }

  /** The same when Nest says that all instances exist: it calls no hook before. */
  boot(): void {
    if (this.hasBooted) return;
    const size = this.modules.size;
    this.take(modulesInOrder(this.modules));
    this.modulesRead = size;
  }

  private take(modules: readonly NestModule[]): void {
    this.events = this.read(modules);
    this.hasBooted = true;
    this.describe();
  }

  find(key: EventKey): RegisteredEvent | undefined {
    return this.events.get(key);
  }

  /** The labels of all events that have callbacks. */
  get labels(): string[] {
    return [...this.events.values()].map(({ label }) => label);
  }

  private wrappersOf(module: NestModule): Wrapper[] {
    return [...this.discovery.getControllers({}, [module]), ...this.discovery.getProviders({}, [module])];
  }

  private read(modules: readonly NestModule[]): Map<EventKey, RegisteredEvent> {
    const byEvent = new Map<EventKey, Found[]>();
    const instances = new Set<object>();
    const hosts = new Map<unknown, { module: NestModule; prototype: object }>();
    for (const module of modules) {
      for (const wrapper of this.wrappersOf(module)) {
        if (wrapper.isAlias) continue;
        const prototype = prototypeOf(wrapper);
        const declarations = declarationsOf(prototype);
        if (!prototype || declarations.length === 0) continue;
        refuseScopes(wrapper, prototype, declarations);
        const { instance } = wrapper as { instance: object };
        if (instances.has(instance)) continue;
        instances.add(instance);
        const first = hosts.get(wrapper.token);
        if (first?.prototype === prototype && isSameByMistake(first.module, module)) {
          this.warnOfTwice(prototype.constructor.name, first.module, module);
          continue;
        }
        if (!first) hosts.set(wrapper.token, { module, prototype });
        for (const declaration of declarations) {
          const found = register(declaration, wrapper, instance, prototype);
          const others = byEvent.get(declaration.key);
          if (others) others.push(found);
          else byEvent.set(declaration.key, [found]);
        }
      }
    }
    const events = [...byEvent].map(([key, callbacks]) => [key, this.assemble(key, callbacks)] as const);
    return new Map(events);
  }

  private assemble(key: EventKey, callbacks: Found[]): RegisteredEvent {
    const label = eventLabel(key);
    const definitions = new Map(
      callbacks
        .filter(({ declaration }) => declaration.definition?.schemas.length)
        .map(({ declaration, id }) => [declaration.definition!, id]),
    );
    if (definitions.size > 1) throw definitionConflict(label, [...definitions.values()][1]);
    const ordered = inOrder(label, callbacks, (target) => this.isReplaced(target, key));
    return Object.freeze({
      key,
      label,
      definition: [...definitions.keys()][0],
      inline: Object.freeze(ordered.filter(({ delivery }) => delivery === 'inline')),
      background: Object.freeze(ordered.filter(({ delivery }) => delivery === 'background')),
    });
  }

  /** A class that declares a callback of the event and is a token, but whose provider an override has replaced. */
  private isReplaced(target: Function, key: EventKey): boolean {
    return (
      declarationsOf(target.prototype as object).some((declaration) => declaration.key === key) &&
      [...this.modules.values()].some(
        (module) => module.providers.has(target) || module.controllers.has(target as never),
      )
    );
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

  private describe(): void {
    const events = [...this.events.values()];
    const count = events.reduce((sum, { inline, background }) => sum + inline.length + background.length, 0);
    const text = `${plural(count, 'callback answers', 'callbacks answer')} ${plural(events.length, 'event', 'events')}`;
    if (text !== this.said) this.logger.log(text);
    this.said = text;
    for (const { label, inline, background } of events) {
      const lines = [...inline, ...background].map(
        ({ id, delivery, isOptional }, index) =>
          `${index + 1}. ${id}${delivery === 'inline' ? '' : ` (${delivery})`}${isOptional ? ' (optional)' : ''}`,
      );
      this.logger.debug(`"${label}": ${lines.join(', ')}`);
    }
  }
}

const plural = (count: number, one: string, many: string) => `${count} ${count === 1 ? one : many}`;

/**
 * Whether Nest has created what it creates at boot. Providers that depend on the request never get an instance of
 * their own then. Their wrapper could be asked for that, but it keeps an answer given too early.
 */
function isCreated(wrapper: Wrapper): boolean {
  if (wrapper.scope === Scope.TRANSIENT) return true;
  return wrapper.getInstanceByContextId(STATIC_CONTEXT).isResolved === true || dependsOnRequest(wrapper);
}

function dependsOnRequest(wrapper: Wrapper | undefined, seen = new Set<Wrapper>()): boolean {
  if (!wrapper || seen.has(wrapper)) return false;
  seen.add(wrapper);
  if (wrapper.scope === Scope.REQUEST) return true;
  return [
    ...(wrapper.getCtorMetadata() ?? []),
    ...(wrapper.getPropertiesMetadata() ?? []).map((property) => property.wrapper),
    ...(wrapper.getEnhancersMetadata() ?? []),
  ].some((dependency) => dependsOnRequest(dependency, seen));
}

/** The instance's own, as a factory or an override may provide something else than the class that was asked for. */
function prototypeOf({ instance, metatype, isNotMetatype }: Wrapper): object | null {
  if (typeof instance === 'object' && instance !== null) return Object.getPrototypeOf(instance) as object | null;
  return isNotMetatype ? null : ((metatype as Function | null)?.prototype ?? null);
}

/** Several instances of one dynamic module each have their own on purpose. */
const isSameByMistake = (first: NestModule, second: NestModule) =>
  first === second || first.metatype !== second.metatype;

function register(declaration: Declaration, { token }: Wrapper, instance: object, prototype: object): Found {
  const { method, options } = declaration;
  const { name } = prototype.constructor;
  const id = options.id ?? `${name || '(anonymous class)'}.${String(method)}`;
  const delivery = options.delivery ?? 'inline';
  if (isLaterDelivery(delivery)) throw deliveryUnavailable(id, delivery);
  refuseEnhancers(id, prototype, method);
  return {
    id,
    delivery,
    isOptional: options.optional ?? false,
    target: instance as RegisteredCallback['target'],
    method,
    declaration,
    stage: delivery === 'inline' ? 0 : 1,
    before: toArray(options.before),
    after: toArray(options.after),
    isOf: (target) => token === target || instance instanceof target,
  };
}

const toArray = <T>(value: T | readonly T[] | undefined): readonly T[] =>
  value === undefined ? [] : Array.isArray(value) ? value : [value as T];

function refuseScopes(wrapper: Wrapper, { constructor }: object, [{ method }]: readonly Declaration[]): void {
  const id = `${constructor.name}.${String(method)}`;
  if (wrapper.isTransient) throw scopeUnavailable(id, 'transient');
  if (!wrapper.isDependencyTreeStatic()) throw scopeUnavailable(id, 'request-scoped');
}

const ENHANCERS = {
  __guards__: '@UseGuards()',
  __interceptors__: '@UseInterceptors()',
  __pipes__: '@UsePipes()',
  __exceptionFilters__: '@UseFilters()',
};

function refuseEnhancers(id: string, prototype: object, method: string | symbol): void {
  const places = [prototype.constructor, (prototype as Record<string | symbol, object>)[method]];
  const found = Object.entries(ENHANCERS).filter(([key]) => places.some((place) => Reflect.hasMetadata(key, place)));
  if (found.length > 0) throw enhancerUnavailable(id, found.map(([, decorator]) => decorator).join(' and '));
}
