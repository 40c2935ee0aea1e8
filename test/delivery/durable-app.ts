import { type DurableEngine } from 'nestjs-callbacks/engine';
import { EventDeliveries } from 'nestjs-callbacks';
import { memoryEngine } from 'nestjs-callbacks/testing';
import { startApp, until } from '../support/app.js';

export const NOW = { attempts: 3, delayMs: 0 };

export const engine = memoryEngine();

/** An application with a memory engine, and what its deliveries have come to. */
export async function startDurable(...[what, options, log]: Parameters<typeof startApp>) {
  const started = await startApp(what, { engine, ...options }, log);
  const deliveries = started.app.get(EventDeliveries);
  const counted = async (field: 'waiting' | 'delayed' | 'running' | 'dead') =>
    (await deliveries.counts()).reduce((sum, count) => sum + count[field], 0);
  /** All are performed, or dead. */
  const done = () =>
    until(async () =>
      (await deliveries.counts()).every(({ waiting, delayed, running }) => waiting + delayed + running === 0),
    );
  return { ...started, deliveries, counted, done };
}

/** An engine of which some methods are replaced. */
export const engineWith = (replace: (engine: DurableEngine) => Partial<DurableEngine>) => () => {
  const sound = engine();
  return new Proxy(sound, {
    get: (target, name: keyof DurableEngine) => {
      const member = replace(sound)[name] ?? target[name];
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
};
