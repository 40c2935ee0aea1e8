import { orderAmbiguous, orderImpossible, orderUnknown } from '../errors/callback-errors.js';
import { nearest } from '../errors/did-you-mean.js';
import type { CallbackTarget } from '../options/callback.options.js';
import { type Place, Precedence } from './precedence.js';

/** A callback as the order sees it. */
export interface Orderable {
  readonly id: string;
  /** Its place in the sequence of a run: inline callbacks, what is stored, what waits for the commit, background ones. */
  readonly stage: number;
  readonly before: readonly CallbackTarget[];
  readonly after: readonly CallbackTarget[];
  /** The token of its provider, which a class in an order may be. */
  readonly token: unknown;
  /** The prototype of its instance, whose class, or a base of that, an order may name. */
  readonly prototype: object;
}

/** Whether an override has taken the place of the provider that a class or an id in an order means. */
type IsReplaced = (target: CallbackTarget) => boolean;

type Relation = 'before' | 'after';

/**
 * Puts the callbacks of one event in the order in which a run calls them: as given, stage by stage, except where
 * `before`/`after` demand otherwise.
 *
 * @throws EVENTS_ORDER_UNKNOWN, EVENTS_ORDER_AMBIGUOUS, EVENTS_ORDER_IMPOSSIBLE
 */
export function inOrder<T extends Orderable>(event: string, callbacks: readonly T[], isReplaced: IsReplaced): T[] {
  const staged = callbacks.toSorted((a, b) => a.stage - b.stage);
  if (!staged.some(({ before, after }) => before.length + after.length > 0)) return staged;
  const precedence = new Precedence(staged);
  const relations = new Relations(event, precedence, new Targets(event, staged, isReplaced));
  for (const callback of staged) {
    for (const relation of ['before', 'after'] as const) {
      for (const target of callback[relation]) relations.add(callback, relation, target);
    }
  }
  const order = precedence.sorted();
  if (order) return order;
  throw orderImpossible(
    event,
    `${precedence
      .circle()
      .map(({ id }) => id)
      .join(' → ')} run each after the one before it`,
  );
}

/** Reads what `before` and `after` demand. */
class Relations<T extends Orderable> {
  /** The place before, or behind, all callbacks of a class: so that whatever goes there need not be told of each of them. */
  private readonly edges = { before: new Map<Function, Place>(), after: new Map<Function, Place>() };
  /** How many callbacks of a class name that class. */
  private readonly within = { before: new Counts(), after: new Counts() };

  constructor(
    private readonly event: string,
    private readonly precedence: Precedence<T>,
    private readonly targets: Targets<T>,
  ) {}

  add(callback: T, relation: Relation, target: CallbackTarget): void {
    const others = this.targets.of(target, callback, relation);
    this.requireStage(callback, relation, others);
    const at = this.precedence.placeOf(callback);
    if (typeof target === 'string') this.relateAll(at, relation, others);
    else if (!isOf(callback, target)) this.relate(at, relation, this.edgeOf(target, relation, others));
    // Two of a class that ask to run before or after the rest of it are a circle already.
    else if (this.within[relation].addTo(target) <= 2) this.relateAll(at, relation, others);
  }

  /** Refuses to go against the sequence of a run, in which the others are given. */
  private requireStage(callback: T, relation: Relation, others: readonly T[]): void {
    const isWrong = ({ stage }: T) => (relation === 'before' ? callback.stage > stage : stage > callback.stage);
    const outermost = relation === 'before' ? others[0] : others.at(-1);
    if (outermost && isWrong(outermost)) throw acrossStages(this.event, callback, relation, others.find(isWrong)!);
  }

  private edgeOf(target: Function, relation: Relation, callbacks: readonly T[]): Place {
    const known = this.edges[relation].get(target);
    if (known) return known;
    const edge = this.precedence.addPlace();
    this.relateAll(edge, relation, callbacks);
    this.edges[relation].set(target, edge);
    return edge;
  }

  private relateAll(one: Place, relation: Relation, callbacks: readonly T[]): void {
    for (const callback of callbacks) {
      const other = this.precedence.placeOf(callback);
      if (other !== one) this.relate(one, relation, other);
    }
  }

  private relate(one: Place, relation: Relation, other: Place): void {
    if (relation === 'before') this.precedence.add(one, other);
    else this.precedence.add(other, one);
  }
}

const acrossStages = (event: string, { id }: Orderable, relation: string, other: Orderable) =>
  orderImpossible(
    event,
    `${id} asks to run ${relation} ${other.id}, but inline callbacks come first, then durable ones are stored, then background ones start`,
  );

class Counts extends Map<Function, number> {
  addTo(key: Function): number {
    const count = (this.get(key) ?? 0) + 1;
    this.set(key, count);
    return count;
  }
}

/** Whether a class that an order names means a callback. */
const isOf = ({ token, prototype }: Orderable, target: Function) =>
  token === target ||
  prototype === target.prototype ||
  Object.prototype.isPrototypeOf.call(target.prototype as object, prototype);

/** The callbacks that `before` and `after` name. */
class Targets<T extends Orderable> {
  private readonly byId = new Map<string, T[]>();
  /** By the token of the provider, and by each prototype of the instance. */
  private readonly byClass = new Map<unknown, T[]>();
  private readonly ofClasses = new Map<Function, readonly T[]>();

  constructor(
    private readonly event: string,
    private readonly callbacks: readonly T[],
    private readonly isReplaced: IsReplaced,
  ) {
    for (const callback of callbacks) {
      addTo(this.byId, callback.id, callback);
      if (callback.token !== callback.prototype.constructor) addTo(this.byClass, callback.token, callback);
      let at: object | null = callback.prototype;
      for (; at; at = Object.getPrototypeOf(at) as object | null) addTo(this.byClass, at, callback);
    }
  }

  of(target: CallbackTarget, callback: T, relation: Relation): readonly T[] {
    return typeof target === 'function'
      ? this.ofClass(target, callback, relation)
      : this.ofId(target, callback, relation);
  }

  private ofClass(target: Function, callback: T, relation: Relation): readonly T[] {
    let ofClass = this.ofClasses.get(target);
    if (!ofClass) this.ofClasses.set(target, (ofClass = this.meantBy(target)));
    if (ofClass.length > 0 || this.isReplaced(target)) return ofClass;
    throw orderUnknown(callback.id, relation, target.name, this.event, 'Provide the class, or remove the option.');
  }

  private meantBy(target: Function): readonly T[] {
    const byToken = this.byClass.get(target) ?? [];
    const byPrototype = this.byClass.get(target.prototype) ?? [];
    if (byToken.length === 0) return byPrototype;
    const all = new Set([...byToken, ...byPrototype]);
    return this.callbacks.filter((callback) => all.has(callback));
  }

  private ofId(target: string, callback: T, relation: Relation): readonly T[] {
    const ofId = this.byId.get(target) ?? [];
    if (ofId.length > 1) throw orderAmbiguous(callback.id, relation, target);
    if (ofId[0] === callback) throw orderImpossible(this.event, `${callback.id} asks to run ${relation} itself`);
    if (ofId.length === 1 || this.isReplaced(target)) return ofId;
    const others = this.callbacks.map(({ id }) => id).filter((id) => id !== callback.id);
    throw orderUnknown(callback.id, relation, `"${target}"`, this.event, remedyFor(target, others));
  }
}

function addTo<K, T>(map: Map<K, T[]>, key: K, value: T): void {
  const values = map.get(key);
  if (values) values.push(value);
  else map.set(key, [value]);
}

function remedyFor(target: string, others: readonly string[]): string {
  const near = nearest(target, others);
  if (near) return `Did you mean "${near}"?`;
  return others.length > 0 ? `The others are ${others.map((id) => `"${id}"`).join(', ')}.` : 'It is the only one.';
}
