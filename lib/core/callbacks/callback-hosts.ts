import { callbackInvalid } from '../errors/callback-errors.js';
import type { EventKey } from '../events/event-map.js';
import type { NestModule, Wrapper } from '../nest/internals.js';
import { type Declaration, idOf } from './declarations.js';

/** A provider or controller that has callbacks. */
export interface Host {
  readonly wrapper: Wrapper;
  readonly module: NestModule;
  /** The prototype whose declarations count. */
  readonly prototype: object;
}

/** Is told of the problem of a callback, which is then left out. */
export type OnProblem = (event: EventKey, problem: unknown) => void;

/** Admits each instance once, and of a class that was provided twice by mistake only the first. */
export class CallbackHosts {
  private readonly instances = new Set<object>();
  /** By class, the first module that provides it. */
  private readonly modules = new Map<unknown, NestModule>();

  constructor(
    private readonly onProblem: OnProblem,
    private readonly warn: (warning: string) => void,
  ) {}

  /** Whether the callbacks of this host are to be registered. Says why, where somebody may wonder. */
  admit(host: Host, declarations: readonly Declaration[]): boolean {
    const { wrapper, prototype } = host;
    const instance = wrapper.instance as object | undefined;
    if (instance && this.instances.has(instance)) return false;
    if (instance) this.instances.add(instance);
    // A token of another kind, or a factory, is no mistake: it makes what it is asked for.
    if (wrapper.token !== prototype.constructor || wrapper.isNotMetatype) return true;
    return this.admitClass(host, declarations);
  }

  private admitClass({ wrapper, module, prototype }: Host, declarations: readonly Declaration[]): boolean {
    const { name } = prototype.constructor;
    const first = this.modules.get(wrapper.token);
    if (first === module && !wrapper.isDependencyTreeStatic()) {
      const problem = `two request-scoped hosts: ${name} is both a controller and a provider of ${module.name}`;
      const id = idOf(declarations[0], name);
      this.onProblem(declarations[0].key, callbackInvalid(id, problem, 'Remove it from the providers.'));
    }
    if (first && isSameByMistake(first, module)) {
      this.warn(warningOfTwice(name, first, module));
      return false;
    }
    this.modules.set(wrapper.token, first ?? module);
    return true;
  }
}

/** Several instances of one dynamic module each have their own provider on purpose. */
const isSameByMistake = (first: NestModule, second: NestModule) =>
  first === second || first.metatype !== second.metatype;

const warningOfTwice = (name: string, first: NestModule, second: NestModule) =>
  first === second
    ? `${name} is both a controller and a provider of ${first.name}, so Nest makes two instances of it. ` +
      'Its callbacks run once, on the controller. Remove it from the providers.'
    : `${name} is provided by ${first.name} and by ${second.name}, so Nest makes two instances of it. ` +
      `Its callbacks run once, on the one of ${first.name}. Export it there, and remove it from the providers of ${second.name}.`;
