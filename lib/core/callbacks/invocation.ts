import { awaitable } from '../async/promises.js';
import type { EventKey } from '../events/event-map.js';
import type { Enhanced, EnhancedMethod } from '../nest/enhanced-method.js';
import type { Enhancers } from '../nest/enhancers.js';
import type { InstanceScope } from '../nest/instance-scope.js';
import { moduleRefOf } from '../nest/internals.js';
import { asksNestForAll, NESTS } from '../nest/scoped-instance.js';
import type { DeliveryMode } from '../options/callback.options.js';
import type { WorkHooks } from '../options/work-hooks.js';
import type { Host } from './callback-hosts.js';
import { functionsOf } from './declarations.js';
import type { RegisteredCallback } from './registered-event.js';

type Invoke = NonNullable<RegisteredCallback['invoke']>;
type Target = RegisteredCallback['target'];

/** A callback as its `@Callback()` declares it. */
interface Declared {
  readonly event: EventKey;
  readonly id: string;
  readonly delivery: DeliveryMode;
  readonly method: string | symbol;
}

/**
 * How to call a callback where a call of one instance's method is not enough: on an instance of the run's own, through
 * guards and their like, or in a test. `undefined` for all others, for which a call costs a call and no more.
 *
 * @param around is called around each call
 * @throws EVENTS_ENHANCER_UNAVAILABLE
 */
export function invocationOf(
  callback: Declared,
  host: Host,
  enhancers: Enhancers,
  around: WorkHooks['call'],
): Invoke | undefined {
  const { event, id, delivery, method } = callback;
  const asEnhanced = { event, id, method, functionsOf, ...host };
  const enhanced = enhancers.methodOf(asEnhanced);
  const invoke = isOne(host) ? throughEnhancers(host, enhanced) : onScopedInstance(asEnhanced, enhancers, enhanced);
  if (!around) return invoke;
  const really = invoke ?? ((args) => (host.wrapper.instance as Target)[method](...args));
  return (args, scope) => around({ event, callback: id, delivery, args }, () => really(args, scope));
}

/** Whether there is one instance for all runs. */
const isOne = ({ wrapper }: Host) => !wrapper.isTransient && wrapper.isDependencyTreeStatic();

const throughEnhancers = ({ wrapper }: Host, enhanced: EnhancedMethod | undefined): Invoke | undefined =>
  enhanced && ((args) => enhanced.call(wrapper.instance as object, undefined, args));

/** Calls it on the instance that its class has in the scope of the run. */
function onScopedInstance(callback: Enhanced, enhancers: Enhancers, enhanced: EnhancedMethod | undefined): Invoke {
  const { wrapper, module, method } = callback;
  const moduleRef = moduleRefOf(module);
  const asksNest = asksNestForAll();
  const callOn = (target: Target, args: readonly unknown[], scope: InstanceScope) => {
    enhancers.refuseOthers(callback, Object.getPrototypeOf(target) as object);
    return enhanced ? enhanced.call(target, scope.idFor(moduleRef), args) : target[method](...args);
  };
  return (args, scope) => {
    const instance = asksNest ? NESTS : scope.instanceOf(wrapper, moduleRef);
    if (instance !== NESTS) return callOn(instance as Target, args, scope);
    return moduleRef
      .resolve<Target>(wrapper.token as never, scope.idFor(moduleRef), { strict: true })
      .then((target) => {
        const result = callOn(target, args, scope);
        return awaitable(result) ?? result;
      });
  };
}
