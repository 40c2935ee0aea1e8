import type { Type } from '@nestjs/common';
import { PARAMTYPES_METADATA, PROPERTY_DEPS_METADATA, SELF_DECLARED_DEPS_METADATA } from '@nestjs/common/constants.js';
import { type ModuleRef, REQUEST } from '@nestjs/core';
import { STATIC_CONTEXT } from '@nestjs/core/injector/constants.js';
import type { Wrapper } from './nest-modules.js';

/** The instances of a context of which Nest knows nothing yet. */
export interface OwnInstances {
  /** What `REQUEST` injects. */
  readonly current: object;
  readonly made: Map<Wrapper, unknown>;
}

/** Only Nest can say. */
export const NESTS = Symbol();

/**
 * The instance that a class has in a context, made at once, for which Nest needs a dozen promises and an entry in a
 * table that only a full garbage collection clears: three request-scoped callbacks are ten times as fast and more. Only
 * where it is sure to be what Nest would make: a class whose constructor takes what exists, or what can be made in the
 * same way.
 *
 * @returns {@link NESTS} for everything else, which Nest must make
 * @throws what the constructor throws
 */
export function scopedInstance(wrapper: Wrapper, instances: OwnInstances, moduleRef: ModuleRef): unknown {
  // The option `instrument` of Nest's applications.
  const { injector } = moduleRef as unknown as { injector?: { instanceDecorator?: unknown } };
  if (typeof injector?.instanceDecorator !== 'function') return NESTS;
  return find(wrapper, instances, injector.instanceDecorator as Decorate);
}

type Decorate = (instance: unknown) => unknown;

function find(wrapper: Wrapper, instances: OwnInstances, decorate: Decorate): unknown {
  const { made, current } = instances;
  // Nest gives it to each context anew, whatever a test may have put in its place.
  if (wrapper.token === REQUEST && wrapper.host?.name === 'InternalCoreModule') return current;
  if (wrapper.isTransient) return NESTS;
  if (wrapper.isDependencyTreeStatic()) {
    const { isResolved, instance } = wrapper.getInstanceByContextId(STATIC_CONTEXT);
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
  const noted = wrapper.getCtorMetadata() ?? [];
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
  if (!known.has(wrapper)) known.set(wrapper, isMadeByCalling(wrapper) ? countOf(wrapper.metatype as Type) : undefined);
  return known.get(wrapper);
}

function isMadeByCalling(wrapper: Wrapper): boolean {
  const { metatype } = wrapper;
  if (typeof metatype !== 'function' || wrapper.isFactory || wrapper.isAlias) return false;
  if (wrapper.isDependencyTreeDurable() || listOf(metatype, PROPERTY_DEPS_METADATA).length > 0) return false;
  return (wrapper.getEnhancersMetadata() ?? []).every((item) => !item.isTransient && item.isDependencyTreeStatic());
}

function countOf(type: object): number {
  const injected = listOf<{ index: number }>(type, SELF_DECLARED_DEPS_METADATA).map(({ index }) => index + 1);
  return Math.max(listOf(type, PARAMTYPES_METADATA).length, ...injected);
}

const listOf = <T>(type: object, key: string) => (Reflect.getMetadata(key, type) as T[] | undefined) ?? [];
