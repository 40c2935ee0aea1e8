import { Scope } from '@nestjs/common';
import { dependenciesOf, hasFailed, staticInstanceOf, type Wrapper } from './internals.js';

/**
 * Whether Nest has created what it creates at boot. A provider that depends on the request never gets an instance of its
 * own then. Its wrapper could be asked for that, but it keeps an answer that it gave too early.
 */
export function isCreated(wrapper: Wrapper): boolean {
  if (wrapper.scope === Scope.TRANSIENT) return true;
  if (hasFailed(wrapper)) return false;
  return staticInstanceOf(wrapper).isResolved === true || dependsOnRequest(wrapper);
}

function dependsOnRequest(wrapper: Wrapper | undefined, seen = new Set<Wrapper>()): boolean {
  if (!wrapper || seen.has(wrapper)) return false;
  seen.add(wrapper);
  if (wrapper.scope === Scope.REQUEST) return true;
  return dependenciesOf(wrapper).some((dependency) => dependsOnRequest(dependency, seen));
}

/**
 * The prototype of a provider's instances: the instance's own, as a factory or an override may provide something else
 * than the class that was asked for. A factory that runs per request has made nothing yet, and is taken at its token's
 * word. `null` if it provides no instance of a class.
 */
export function prototypeOf(wrapper: Wrapper): object | null {
  const instance = wrapper.instance as unknown;
  if (typeof instance === 'object' && instance !== null) return Object.getPrototypeOf(instance) as object | null;
  const type = (wrapper.isNotMetatype ? wrapper.token : wrapper.metatype) as Function | null;
  return typeof type === 'function' && !instance ? (type.prototype as object | null) : null;
}
