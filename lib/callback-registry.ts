import { Inject, Injectable, Logger, Scope } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { STATIC_CONTEXT } from '@nestjs/core/injector/constants.js';
import { declarationsOf } from './callback.decorator.js';
import { CallbackDiscovery, type Found } from './callback-discovery.js';
import { inOrder } from './callback-order.js';
import { Entrypoints } from './entrypoints.js';
import { definitionConflict } from './errors.js';
import { type EventKey, eventLabel } from './event-map.js';
import { modulesInOrder, type NestModule, type Wrapper } from './nest-modules.js';
import type { RegisteredEvent } from './registered-event.js';

/** Who answers what in this application, in order. Read from Nest's modules once they have their instances. */
@Injectable()
export class CallbackRegistry {
  private readonly logger = new Logger('EventsModule');
  private events: ReadonlyMap<EventKey, RegisteredEvent> = new Map();
  private modulesRead = -1;
  private hasBooted = false;
  private said = '';

  constructor(
    @Inject(CallbackDiscovery) private readonly discovery: CallbackDiscovery,
    @Inject(ModulesContainer) private readonly modules: ModulesContainer,
    @Inject(Entrypoints) private readonly entrypoints: Entrypoints,
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
    const created = modules.filter((module) => this.discovery.wrappersOf(module).every(isCreated));
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
    const found = [...this.discovery.read(modules)];
    this.events = new Map(found.map(([key, callbacks]) => [key, this.assemble(key, callbacks)]));
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

  private assemble(key: EventKey, callbacks: Found[]): RegisteredEvent {
    const label = eventLabel(key);
    const definitions = new Map(
      callbacks
        .filter(({ declaration }) => declaration.definition?.schemas.length)
        .map(({ declaration, id }) => [declaration.definition!, id]),
    );
    if (definitions.size > 1) throw definitionConflict(label, [...definitions.values()][1]);
    const ordered = inOrder(label, callbacks, (target) => this.isReplaced(target, key));
    for (const callback of ordered) this.entrypoints.add(label, callback);
    return Object.freeze({
      key,
      label,
      definition: [...definitions.keys()][0],
      inline: Object.freeze(ordered.filter(({ delivery }) => delivery === 'inline')),
      background: Object.freeze(ordered.filter(({ delivery }) => delivery === 'background')),
      isScoped: ordered.some(({ invoke }) => invoke !== undefined),
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
