import { Inject, Injectable } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { declarationsOf, idOf } from './declarations.js';
import { CallbackDiscovery, type Found } from './callback-discovery.js';
import type { CallbackTarget } from '../options/callback.options.js';
import { inOrder } from './callback-order.js';
import { refuseOwn, remoteCallbacksOf } from './remote-callbacks.js';
import { doubtfulNames, isPattern, patternWarning } from './doubtful-names.js';
import { UniqueAddresses } from './unique-addresses.js';
import { Entrypoints } from '../nest/entrypoints.js';
import { definitionConflict } from '../errors/callback-errors.js';
import { type EventKey, eventLabel } from '../events/event-map.js';
import { type CompleteOptions, EVENTS_SETTINGS } from '../options/events.options.js';
import { enhancersOf, hasFailed, type NestModule, type Wrapper } from '../nest/internals.js';
import { modulesInOrder } from '../nest/nest-modules.js';
import { isCreated } from '../nest/wrappers.js';
import {
  callbacksOf,
  type RegisteredCallback,
  type RegisteredDurable,
  type RegisteredEvent,
  withoutCallbacks,
} from './registered-event.js';
import { SafeLogger } from '../reports/safe-logger.js';

/** Knows who answers what in this application, in order. It reads Nest's modules once they have their instances. */
@Injectable()
export class CallbackRegistry {
  /** The object by which traces name the application. It is empty, since whoever prints a trace prints it, too. */
  readonly application: object = Object.freeze({});
  private readonly logger = new SafeLogger('EventsModule');
  private events: ReadonlyMap<EventKey, RegisteredEvent> = new Map();
  /** The number of modules when all of them were read, and the number of those that were read at all. */
  private modulesRead = -1;
  private createdRead = -1;
  private hasBooted = false;
  private said = '';

  constructor(
    @Inject(CallbackDiscovery) private readonly discovery: CallbackDiscovery,
    @Inject(ModulesContainer) private readonly modules: ModulesContainer,
    @Inject(Entrypoints) private readonly entrypoints: Entrypoints,
    @Inject(EVENTS_SETTINGS) private readonly settings: CompleteOptions,
  ) {}

  /** Whether every module that Nest has loaded is read. It compares two numbers, as every run asks. */
  get isCurrent(): boolean {
    return this.modules.size === this.modulesRead;
  }

  /**
   * Reads the modules that came since the last time. `false` while Nest is still creating the application's instances.
   *
   * @throws what is wrong with the callbacks, while the application starts
   */
  refresh(): boolean {
    if (this.isCurrent) return true;
    const size = this.modules.size;
    const modules = modulesInOrder(this.modules);
    const created = modules.filter((module) => this.everythingOf(module).every(isCreated));
    const isComplete = created.length === modules.length;
    // At boot, all wait for all. Later, a lazily loaded module that is still being created joins when it is done.
    if (!isComplete && !this.hasBooted) return false;
    if (created.length !== this.createdRead) this.take(created, this.hasBooted);
    if (isComplete) this.modulesRead = size;
    return true;
  }

  /** Whether the application will never be complete, since a provider threw while Nest created it. */
  get hasFailed(): boolean {
    return (
      !this.hasBooted &&
      [...this.modules.values()].some((module) => this.everythingOf(module).some((wrapper) => hasFailed(wrapper)))
    );
  }

  /**
   * Reads all modules when Nest says that all instances exist: it calls no hook before. An early run may have read them, but
   * `useGlobalGuards()` and its like may have been called since.
   */
  boot(): void {
    const size = this.modules.size;
    this.take(modulesInOrder(this.modules), false);
    this.modulesRead = size;
  }

  /** The providers and controllers of a module, with the guards and their like that callbacks may need. */
  private everythingOf(module: NestModule): Wrapper[] {
    return [...this.discovery.wrappersOf(module), ...enhancersOf(module).values()];
  }

  /**
   * Registers the callbacks of modules. A wrong one fails the boot; later, in a lazily loaded module, only the runs of its
   * event.
   */
  private take(modules: readonly NestModule[], isLenient: boolean): void {
    const problems = new Map<EventKey, unknown>();
    const onProblem = (key: EventKey, problem: unknown) => {
      if (!isLenient) throw problem;
      if (this.events.get(key)?.problem === undefined) this.logger.error((problem as Error).message);
      problems.set(key, problems.get(key) ?? problem);
    };
    const found = this.withRemote([...this.discovery.read(modules, onProblem)]);
    const addresses = new UniqueAddresses();
    const isReplaced = replacedIn(this.modules);
    const events = found.map(([key, callbacks]) => {
      try {
        const event = this.assemble(key, callbacks, problems.get(key), isReplaced);
        addresses.add(event);
        return [key, event] as const;
      } catch (problem) {
        onProblem(key, problem);
        const { application } = this;
        return [key, withoutCallbacks({ key, label: eventLabel(key), application, problem })] as const;
      }
    });
    for (const warning of doubtfulNames(found)) this.discovery.warn(warning);
    this.events = new Map(events);
    this.createdRead = modules.length;
    if (!this.hasBooted) this.settings.hooks?.onComplete?.();
    this.hasBooted = true;
    this.describe();
  }

  find(key: EventKey): RegisteredEvent | undefined {
    return this.events.get(key);
  }

  /** All events that have callbacks. */
  get all(): RegisteredEvent[] {
    return [...this.events.values()];
  }

  /** All events that have durable callbacks. */
  get durable(): RegisteredEvent[] {
    return this.all.filter(({ durable }) => durable.length > 0);
  }

  get keys(): EventKey[] {
    return [...this.events.keys()];
  }

  /** Adds the events that only callbacks of other applications answer. */
  private withRemote(found: [EventKey, Found[]][]): [EventKey, Found[]][] {
    const keys = new Set(found.map(([key]) => key));
    for (const { key } of this.settings.remote) {
      if (!keys.has(key)) found.push([key, []]);
      keys.add(key);
    }
    return found;
  }

  private assemble(key: EventKey, callbacks: Found[], problem: unknown, isReplaced: IsReplaced): RegisteredEvent {
    const label = eventLabel(key);
    const definitions = new Map<RegisteredEvent['definition'], string>();
    for (const { declaration, id } of callbacks) {
      if (declaration.definition?.schemas.length) definitions.set(declaration.definition, id);
    }
    for (const { definition, id } of this.settings.remote.filter((one) => one.key === key)) {
      if (definition?.schemas.length) definitions.set(definition, id);
    }
    if (definitions.size > 1) {
      const [one, other] = definitions.values();
      throw definitionConflict(label, other, one);
    }
    const arranged = this.settings.hooks?.arrange?.(label, callbacks) ?? callbacks;
    const found = inOrder(label, arranged, (target) => isReplaced(target, key));
    for (const callback of found) this.entrypoints.add(label, callback);
    const ordered = found.map(registered);
    const own = ordered.filter((callback): callback is RegisteredDurable => callback.durable !== undefined);
    const durable = [...own, ...remoteCallbacksOf(key, this.settings)];
    refuseOwn(durable);
    const held = ordered.filter(({ delivery }) => delivery === 'after-commit' || delivery === 'after-rollback');
    const background = ordered.filter(({ delivery }) => delivery === 'background');
    const asksPropagators = background.length > 0 && this.settings.propagators.length > 0;
    return {
      key,
      label,
      application: this.application,
      definition: [...definitions.keys()][0],
      // Not frozen, which would make each run a tenth slower.
      inline: ordered.filter(({ delivery }) => delivery === 'inline'),
      durable,
      held,
      background,
      isScoped: ordered.some(({ invoke }) => invoke !== undefined),
      problem,
      isPlain: definitions.size + durable.length + held.length === 0 && problem === undefined && !asksPropagators,
    };
  }

  private describe(): void {
    const events = this.all;
    const count = events.reduce((sum, event) => sum + callbacksOf(event).length, 0);
    const text = `${plural(count, 'callback answers', 'callbacks answer')} ${plural(events.length, 'event', 'events')}`;
    if (text !== this.said) this.logger.log(text);
    this.said = text;
    for (const event of events) {
      const [first] = callbacksOf(event);
      if (first && isPattern(event.key)) this.discovery.warn(patternWarning(event.label, first.id));
      const lines = callbacksOf(event).map(
        ({ id, delivery, isOptional, durable }, index) =>
          `${index + 1}. ${id}${delivery === 'inline' ? '' : ` (${durable?.isRemote ? 'remote' : delivery})`}${isOptional ? ' (optional)' : ''}`,
      );
      this.logger.debug(`"${event.label}": ${lines.join(', ')}`);
    }
  }
}

/** Whether a class declares this callback of the event and is a token, but an override has replaced its provider. */
type IsReplaced = (target: CallbackTarget, key: EventKey) => boolean;

/** Reads the tokens once, and only when an order misses somebody. */
function replacedIn(modules: ModulesContainer): IsReplaced {
  let declared: ReadonlyMap<EventKey, ReadonlySet<CallbackTarget>> | undefined;
  return (target, key) => (declared ??= declaredByTokens(modules)).get(key)?.has(target) ?? false;
}

/** By event, the classes that are tokens and declare a callback of it, and the ids of those. */
function declaredByTokens(modules: ModulesContainer): Map<EventKey, Set<CallbackTarget>> {
  const declared = new Map<EventKey, Set<CallbackTarget>>();
  for (const { providers, controllers } of modules.values()) {
    for (const type of [...providers.keys(), ...controllers.keys()]) {
      if (typeof type !== 'function') continue;
      for (const declaration of declarationsOf(type.prototype as object | null)) {
        const targets = declared.get(declaration.key) ?? new Set();
        declared.set(declaration.key, targets.add(type).add(idOf(declaration, type.name)));
      }
    }
  }
  return declared;
}

/** Keeps only the fields that a run needs: a quarter less memory. */
const registered = ({ id, delivery, isOptional, target, method, invoke, durable }: Found): RegisteredCallback => ({
  id,
  delivery,
  isOptional,
  target,
  method,
  invoke,
  ...(durable && { durable }),
});

const plural = (count: number, one: string, many: string) => `${count} ${count === 1 ? one : many}`;
