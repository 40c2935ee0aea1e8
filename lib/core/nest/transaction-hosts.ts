import type { NestModule } from './internals.js';

/** Marks the options of an adapter that lets events know of its transactions: `withEvents()` sets it. */
export const TELLS_EVENTS = Symbol.for('nestjs-callbacks:tells-events');

/** What `@nestjs-cls/transactional` provides for a connection. It is an optional peer, which is not imported here. */
interface TransactionHost {
  readonly _options?: {
    readonly connectionName?: string;
    readonly wrapWithTransaction?: unknown;
    readonly [TELLS_EVENTS]?: boolean;
  };
}

/** The connections for which `@Transactional()` opens transactions that events know nothing of. */
export function untoldTransactions(modules: Iterable<NestModule>): string[] {
  const hosts = new Set<TransactionHost>();
  for (const module of modules) {
    for (const { instance } of module.providers.values()) {
      const host = instance as TransactionHost | undefined;
      if (typeof host === 'object' && host?.constructor?.name === 'TransactionHost') hosts.add(host);
    }
  }
  return [...hosts]
    .filter(({ _options: options }) => typeof options?.wrapWithTransaction === 'function' && !options[TELLS_EVENTS])
    .map(({ _options: options }) => options?.connectionName ?? 'default');
}
