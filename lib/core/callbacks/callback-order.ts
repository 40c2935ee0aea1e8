import { orderAmbiguous, orderImpossible, orderUnknown } from '../errors/callback-errors.js';
import { nearest } from '../errors/did-you-mean.js';
import type { CallbackTarget } from '../options/callback.options.js';

/** A callback as the order sees it. */
export interface Orderable {
  readonly id: string;
  /** Its place in the sequence of a run: inline callbacks, what is stored, what waits for the commit, background ones. */
  readonly stage: number;
  readonly before: readonly CallbackTarget[];
  readonly after: readonly CallbackTarget[];
  /** Whether a class that an order names means this callback. */
  isOf(target: Function): boolean;
}

/** Whether an override has taken the place of the provider that a class or an id in an order means. */
type IsReplaced = (target: CallbackTarget) => boolean;

/** For each callback, those that must come before it. */
type Predecessors<T> = ReadonlyMap<T, ReadonlySet<T>>;

/**
 * Puts the callbacks of one event in the order in which a run calls them: as given, stage by stage, except where
 * `before`/`after` demand otherwise.
 *
 * @throws EVENTS_ORDER_UNKNOWN, EVENTS_ORDER_AMBIGUOUS, EVENTS_ORDER_IMPOSSIBLE
 */
export function inOrder<T extends Orderable>(event: string, callbacks: readonly T[], isReplaced: IsReplaced): T[] {
  const staged = callbacks.toSorted((a, b) => a.stage - b.stage);
  if (!staged.some(({ before, after }) => before.length + after.length > 0)) return staged;
  return sorted(event, staged, predecessorsOf(event, staged, isReplaced));
}

function predecessorsOf<T extends Orderable>(
  event: string,
  staged: readonly T[],
  isReplaced: IsReplaced,
): Predecessors<T> {
  const predecessors = new Map(staged.map((callback) => [callback, new Set<T>()]));
  const targets = new Targets(event, staged, isReplaced);
  for (const callback of staged) {
    for (const relation of ['before', 'after'] as const) {
      for (const target of callback[relation]) {
        for (const other of targets.of(target, callback, relation)) {
          if (other === callback) continue;
          const [first, second] = relation === 'before' ? [callback, other] : [other, callback];
          if (first.stage > second.stage) throw acrossStages(event, callback, relation, other);
          predecessors.get(second)?.add(first);
        }
      }
    }
  }
  return predecessors;
}

const acrossStages = (event: string, { id }: Orderable, relation: string, other: Orderable) =>
  orderImpossible(
    event,
    `${id} asks to run ${relation} ${other.id}, but inline callbacks come first, then durable ones are stored, then background ones start`,
  );

/** The callbacks that `before` and `after` name. */
class Targets<T extends Orderable> {
  constructor(
    private readonly event: string,
    private readonly callbacks: readonly T[],
    private readonly isReplaced: IsReplaced,
  ) {}

  of(target: CallbackTarget, callback: T, relation: string): readonly T[] {
    return typeof target === 'function'
      ? this.ofClass(target, callback, relation)
      : this.ofId(target, callback, relation);
  }

  private ofClass(target: Function, callback: T, relation: string): readonly T[] {
    const ofClass = this.callbacks.filter((other) => other.isOf(target));
    if (ofClass.length > 0 || this.isReplaced(target)) return ofClass;
    throw orderUnknown(callback.id, relation, target.name, this.event, 'Provide the class, or remove the option.');
  }

  private ofId(target: string, callback: T, relation: string): readonly T[] {
    const ofId = this.callbacks.filter(({ id }) => id === target);
    if (ofId.length > 1) throw orderAmbiguous(callback.id, relation, target);
    if (ofId[0] === callback) throw orderImpossible(this.event, `${callback.id} asks to run ${relation} itself`);
    if (ofId.length === 1 || this.isReplaced(target)) return ofId;
    const others = this.callbacks.map(({ id }) => id).filter((id) => id !== callback.id);
    throw orderUnknown(callback.id, relation, `"${target}"`, this.event, remedyFor(target, others));
  }
}

function remedyFor(target: string, others: readonly string[]): string {
  const near = nearest(target, others);
  if (near) return `Did you mean "${near}"?`;
  return others.length > 0 ? `The others are ${others.map((id) => `"${id}"`).join(', ')}.` : 'It is the only one.';
}

/** Takes the first callback that waits for none of the rest, again and again. */
function sorted<T extends Orderable>(event: string, callbacks: readonly T[], predecessors: Predecessors<T>): T[] {
  const rest = new Set(callbacks);
  const order: T[] = [];
  while (rest.size > 0) {
    const next = [...rest].find((callback) => [...predecessors.get(callback)!].every((other) => !rest.has(other)));
    if (!next) throw orderImpossible(event, `${circleIn(rest, predecessors)} run each after the one before it`);
    rest.delete(next);
    order.push(next);
  }
  return order;
}

/** One circle among callbacks that all wait for another of them, as `A → B → A`. */
function circleIn<T extends Orderable>(rest: ReadonlySet<T>, predecessors: Predecessors<T>): string {
  const path: T[] = [];
  let [at] = rest;
  while (!path.includes(at)) {
    path.push(at);
    at = [...predecessors.get(at)!].find((other) => rest.has(other))!;
  }
  return [at, ...path.slice(path.indexOf(at)).toReversed()].map(({ id }) => id).join(' → ');
}
