import { type ModulesContainer, NestApplication, NestApplicationContext } from '@nestjs/core';
import { shared } from '../copies/shared.js';

/** Those who are to hear, by the application that they are part of: each copy of this package has one. */
const listeners = shared('failed starts', () => new WeakMap<object, (() => void)[]>());
const watched = shared('watched starts', () => new WeakSet<object>());

/** The private members of Nest's applications that start them. */
interface Starting {
  readonly container?: { getModules(): ModulesContainer };
}

/**
 * Calls back when an application does not start, since a hook of somebody else or a route has failed. Nest then calls no hook
 * any more, and hands nobody the application by which to close it: only the methods that start one know.
 */
export function onFailedStart(modules: ModulesContainer, listener: () => void): void {
  listeners.set(modules, [...(listeners.get(modules) ?? []), listener]);
  watch(NestApplicationContext.prototype, ['init', 'callInitHook', 'callBootstrapHook']);
  watch(NestApplication.prototype, ['init']);
}

/** Tells each once, though one of these methods calls another. */
function tell(modules: object): void {
  const told = listeners.get(modules) ?? [];
  listeners.delete(modules);
  for (const listener of told) listener();
}

function watch(prototype: object, methods: readonly string[]): void {
  if (watched.has(prototype)) return;
  watched.add(prototype);
  for (const name of methods) {
    const own = Object.getOwnPropertyDescriptor(prototype, name);
    const method = own?.value as ((...args: unknown[]) => Promise<unknown>) | undefined;
    if (typeof method !== 'function') continue;
    const value = async function (this: Starting, ...args: unknown[]): Promise<unknown> {
      try {
        return await method.apply(this, args);
      } catch (error) {
        const modules = this.container?.getModules();
        if (modules) tell(modules);
        throw error;
      }
    };
    Object.defineProperty(prototype, name, { ...own, value });
  }
}
