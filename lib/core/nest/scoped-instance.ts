import type { Type } from '@nestjs/common';
import type { ModuleRef } from '@nestjs/core';
import {
  constructorDependenciesOf,
  constructorParametersOf,
  enhancerDependenciesOf,
  hasInjectedProperties,
  instanceDecoratorOf,
  isRequestProvider,
  staticInstanceOf,
  type Wrapper,
} from './internals.js';

/** The instances of a context that Nest does not know of yet. */
export interface OwnInstances {
  /** The object that `REQUEST` injects. */
  readonly current: object;
  readonly made: Map<Wrapper, unknown>;
}

/** Stands for an instance that only Nest can make. */
export const NESTS = Symbol();

/** Whether Nest is to make all instances: the way out, should one that is made here ever differ from Nest's. */
export const asksNestForAll = (): boolean => process.env.NESTJS_CALLBACKS_INSTANCES === 'nest';

/**
 * Makes the instance that a class has in a context, at once. Nest needs a dozen promises for it, and an entry in a table
 * that only a full garbage collection clears: three request-scoped callbacks are ten times as fast this way, and more. It
 * does so only where the instance is sure to be the one that Nest would make: of a class whose constructor takes what
 * exists, or what can be made in the same way.
 *
 * @returns {@link NESTS} for everything else, which Nest must make
 * @throws what the constructor throws
 */
export function scopedInstance(wrapper: Wrapper, instances: OwnInstances, moduleRef: ModuleRef): unknown {
  const decorate = instanceDecoratorOf(moduleRef);
  return decorate ? find(wrapper, instances, decorate) : NESTS;
}

type Decorate = (instance: unknown) => unknown;

function find(wrapper: Wrapper, instances: OwnInstances, decorate: Decorate): unknown {
  const { made, current } = instances;
  // Nest gives it to each context anew, whatever a test may have put in its place.
  if (isRequestProvider(wrapper)) return current;
  if (wrapper.isTransient) return NESTS;
  if (wrapper.isDependencyTreeStatic()) {
    const { isResolved, instance } = staticInstanceOf(wrapper);
    return isResolved && !wrapper.async ? instance : NESTS;
  }
  if (made.has(wrapper)) return made.get(wrapper);
  // In a circle it is met again, and Nest has the words for that.
  made.set(wrapper, NESTS);
  let instance: unknown = NESTS;
  try {
    instance = make(wrapper, instances, decorate);
  } finally {
    if (instance === NESTS) made.delete(wrapper);
    else made.set(wrapper, instance);
  }
  return instance;
}

function make(wrapper: Wrapper, instances: OwnInstances, decorate: Decorate): unknown {
  const noted = constructorDependenciesOf(wrapper);
  // Nest notes no wrapper for an optional dependency that it did not find, nor for INQUIRER, and on Nest 11 none before
  // it has made the first instance.
  if (wrapper.forwardRef || noted.length !== parametersOf(wrapper)) return NESTS;
  const dependencies: unknown[] = [];
  for (const dependency of noted) {
    const instance = dependency ? find(dependency, instances, decorate) : NESTS;
    if (instance === NESTS) return NESTS;
    dependencies.push(instance);
  }
  return decorate(new (wrapper.metatype as Type)(...dependencies));
}

const known = new WeakMap<Wrapper, number | undefined>();

/** How many parameters its constructor has; `undefined` when calling it is not all that Nest would do. */
function parametersOf(wrapper: Wrapper): number | undefined {
  if (!known.has(wrapper))
    known.set(wrapper, isMadeByCalling(wrapper) ? constructorParametersOf(wrapper.metatype as Type) : undefined);
  return known.get(wrapper);
}

function isMadeByCalling(wrapper: Wrapper): boolean {
  const { metatype } = wrapper;
  if (typeof metatype !== 'function' || wrapper.isFactory || wrapper.isAlias) return false;
  if (wrapper.isDependencyTreeDurable() || hasInjectedProperties(metatype as Type)) return false;
  return enhancerDependenciesOf(wrapper).every((item) => !item.isTransient && item.isDependencyTreeStatic());
}
