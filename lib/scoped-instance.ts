import { type Type } from '@nestjs/common';
import { PARAMTYPES_METADATA, PROPERTY_DEPS_METADATA, SELF_DECLARED_DEPS_METADATA } from '@nestjs/common/constants.js';
import type { ContextId, ModuleRef } from '@nestjs/core';
import { STATIC_CONTEXT } from '@nestjs/core/injector/constants.js';
import type { Wrapper } from './nest-modules.js';

/**
 * The instance that a class has in a context, made at once, for which Nest needs a dozen promises: three request-scoped
 * callbacks are then six times as fast. Only where it is sure to be what Nest would make: a class whose constructor
 * takes what exists, or what can be made in the same way. Nest finds it there as if it were its own.
 *
 * @returns `undefined` for everything else, which Nest must make
 * @throws what the constructor throws
 */
export function scopedInstance(wrapper: Wrapper, contextId: ContextId, moduleRef: ModuleRef): object | undefined {
  // A context of a durable strategy has parents, in which some instances live.
  if ('getParent' in contextId) return undefined;
  const { injector } = moduleRef as unknown as { injector?: { instanceDecorator?: unknown } };
  if (typeof injector?.instanceDecorator !== 'function') return undefined;
  const found = instanceOf(wrapper, contextId, injector.instanceDecorator as Decorate);
  return found === NOT_HERE ? undefined : (found as object);
}

/** The option `instrument` of Nest's applications. */
type Decorate = (instance: unknown) => unknown;

const NOT_HERE = Symbol();

function instanceOf(wrapper: Wrapper, contextId: ContextId, decorate: Decorate): unknown {
  if (wrapper.isTransient) return NOT_HERE;
  const isStatic = wrapper.isDependencyTreeStatic();
  const host = wrapper.getInstanceByContextId(isStatic ? STATIC_CONTEXT : contextId);
  if (host.isResolved) return host.instance;
  if (isStatic || host.isPending || !isMadeOfWrappers(wrapper)) return NOT_HERE;
  const dependencies: unknown[] = [];
  for (const dependency of wrapper.getCtorMetadata() ?? []) {
    const instance = instanceOf(dependency, contextId, decorate);
    if (instance === NOT_HERE) return NOT_HERE;
    dependencies.push(instance);
  }
  host.instance = decorate(new (wrapper.metatype as Type)(...dependencies));
  host.isConstructorCalled = true;
  host.isResolved = true;
  return host.instance;
}

const known = new WeakMap<Wrapper, boolean>();

/** Whether calling its constructor with the dependencies that Nest has noted is all that Nest would do. */
function isMadeOfWrappers(wrapper: Wrapper): boolean {
  let answer = known.get(wrapper);
  if (answer === undefined) known.set(wrapper, (answer = examine(wrapper)));
  return answer;
}

function examine(wrapper: Wrapper): boolean {
  const { metatype } = wrapper;
  if (typeof metatype !== 'function' || wrapper.isFactory || wrapper.isAlias || wrapper.forwardRef) return false;
  if (wrapper.isDependencyTreeDurable()) return false;
  if ((wrapper.getEnhancersMetadata() ?? []).some((item) => item.isTransient || !item.isDependencyTreeStatic()))
    return false;
  const listOf = <T>(key: string) => (Reflect.getMetadata(key, metatype) as T[] | undefined) ?? [];
  if (listOf(PROPERTY_DEPS_METADATA).length > 0) return false;
  // Nest notes no wrapper for an optional dependency that it did not find, nor for INQUIRER.
  const indices = listOf<{ index: number }>(SELF_DECLARED_DEPS_METADATA).map(({ index }) => index + 1);
  const count = Math.max(listOf(PARAMTYPES_METADATA).length, ...indices, 0);
  const noted = wrapper.getCtorMetadata() ?? [];
  return noted.length === count && Array.from(noted).every(Boolean);
}
