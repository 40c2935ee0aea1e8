import type { Type } from '@nestjs/common';
import { PARAMTYPES_METADATA, PROPERTY_DEPS_METADATA, SELF_DECLARED_DEPS_METADATA } from '@nestjs/common/constants.js';
import type { ModuleRef } from '@nestjs/core';
import type { Wrapper } from './nest-modules.js';

/** Where the instances of one context are. */
export interface ContextInstances {
  /** {@link UNMADE} when there is none yet, {@link NESTS} when only Nest can say. */
  find(wrapper: Wrapper): unknown;
  keep(wrapper: Wrapper, instance: unknown): void;
}

export const UNMADE = Symbol();
export const NESTS = Symbol();

/**
 * The instance that a class has in a context, made at once, for which Nest needs a dozen promises and an entry in a
 * table that only a full garbage collection clears: three request-scoped callbacks are five to ten times as fast. Only
 * where it is sure to be what Nest would make: a class whose constructor takes what exists, or what can be made in the
 * same way.
 *
 * @returns {@link NESTS} for everything else, which Nest must make
 * @throws what the constructor throws
 */
export function scopedInstance(wrapper: Wrapper, instances: ContextInstances, moduleRef: ModuleRef): unknown {
  // The option `instrument` of Nest's applications.
  const { injector } = moduleRef as unknown as { injector?: { instanceDecorator?: unknown } };
  if (typeof injector?.instanceDecorator !== 'function') return NESTS;
  return make(wrapper, instances, injector.instanceDecorator as Decorate);
}

type Decorate = (instance: unknown) => unknown;

function make(wrapper: Wrapper, instances: ContextInstances, decorate: Decorate): unknown {
  if (wrapper.isTransient || wrapper.forwardRef) return NESTS;
  const found = instances.find(wrapper);
  if (found !== UNMADE) return found;
  const noted = wrapper.getCtorMetadata() ?? [];
  // Nest notes no wrapper for an optional dependency that it did not find, nor for INQUIRER, and on Nest 11 none before
  // it has made the first instance.
  if (noted.length !== parametersOf(wrapper)) return NESTS;
  const dependencies: unknown[] = [];
  for (const dependency of noted) {
    const instance = dependency ? make(dependency, instances, decorate) : NESTS;
    if (instance === NESTS) return NESTS;
    dependencies.push(instance);
  }
  const instance = decorate(new (wrapper.metatype as Type)(...dependencies));
  instances.keep(wrapper, instance);
  return instance;
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
