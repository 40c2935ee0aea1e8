import type { CallbackTarget } from '../options/callback.options.js';
import { orderAmbiguous, orderImpossible, orderUnknown } from '../errors/callback-errors.js';
import { nearest } from '../errors/did-you-mean.js';

/** A callback as the order sees it. */
export interface Orderable {
  readonly id: string;
  /** Its place in the sequence of a run: inline callbacks, what is stored, what waits for the commit, background ones. */
  readonly stage: number;
  readonly before: readonly CallbackTarget[];
  readonly after: readonly CallbackTarget[];
  /** Whether a class named in an order means this callback. */
  isOf(target: Function): boolean;
}

/**
 * The callbacks of one event in the order in which a run calls them: as given, stage by stage, except where
 * `before`/`after` demand otherwise.
 *
 * @param isReplaced whether a class or id that has no callback here would have had one, had no override taken its place
 * @throws EVENTS_ORDER_UNKNOWN, EVENTS_ORDER_AMBIGUOUS, EVENTS_ORDER_IMPOSSIBLE
 */
export function inOrder<T extends Orderable>(
  event: string,
  callbacks: readonly T[],
  isReplaced: (target: CallbackTarget) => boolean,
): T[] {
  const staged = callbacks.toSorted((a, b) => a.stage - b.stage);
  if (!staged.some(({ before, after }) => before.length + after.length > 0)) return staged;

  const waitsFor = new Map<T, Set<T>>(staged.map((callback) => [callback, new Set()]));
  const demand = (first: T, second: T, who: T, relation: string, other: T): void => {
    if (first === second) return;
    if (first.stage > second.stage) {
      throw orderImpossible(
        event,
        `${who.id} asks to run ${relation} ${other.id}, but inline callbacks come first, then durable ones are stored, then background ones start`,
      );
    }
    waitsFor.get(second)!.add(first);
  };
  for (const callback of staged) {
    for (const target of callback.before) {
      for (const other of found(target, callback, 'before')) demand(callback, other, callback, 'before', other);
    }
    for (const target of callback.after) {
      for (const other of found(target, callback, 'after')) demand(other, callback, callback, 'after', other);
    }
  }
  return sorted(event, staged, waitsFor);

  function found(target: CallbackTarget, callback: T, relation: string): T[] {
    if (typeof target === 'function') {
      const ofClass = staged.filter((other) => other.isOf(target));
      if (ofClass.length > 0 || isReplaced(target)) return ofClass;
      throw orderUnknown(callback.id, relation, target.name, event, 'Provide the class, or remove the option.');
    }
    const ofId = staged.filter(({ id }) => id === target);
    if (ofId.length > 1) throw orderAmbiguous(callback.id, relation, target);
    if (ofId[0] === callback) throw orderImpossible(event, `${callback.id} asks to run ${relation} itself`);
    if (ofId.length === 1) return ofId;
    if (isReplaced(target)) return [];
    const ids = staged.map(({ id }) => id).filter((id) => id !== callback.id);
    const near = nearest(target, ids);
    throw orderUnknown(
      callback.id,
      relation,
      `"${target}"`,
      event,
      near
        ? `Did you mean "${near}"?`
        : ids.length > 0
          ? `The others are ${ids.map((id) => `"${id}"`).join(', ')}.`
          : 'It is the only one.',
    );
  }
}

/** Takes the first callback that waits for none of the rest, again and again. */
function sorted<T extends Orderable>(event: string, callbacks: readonly T[], waitsFor: Map<T, Set<T>>): T[] {
  const rest = new Set(callbacks);
  const order: T[] = [];
  while (rest.size > 0) {
    const next = [...rest].find((callback) => [...waitsFor.get(callback)!].every((other) => !rest.has(other)));
    if (!next) throw orderImpossible(event, `${circle(rest, waitsFor)} run each after the one before it`);
    rest.delete(next);
    order.push(next);
  }
  return order;
}

/** One circle among callbacks that all wait for another of them, as `A → B → A`. */
function circle<T extends Orderable>(rest: Set<T>, waitsFor: Map<T, Set<T>>): string {
  const path: T[] = [];
  let [at] = rest;
  while (!path.includes(at)) {
    path.push(at);
    at = [...waitsFor.get(at)!].find((other) => rest.has(other))!;
  }
  return [at, ...path.slice(path.indexOf(at)).toReversed()].map(({ id }) => id).join(' → ');
}
