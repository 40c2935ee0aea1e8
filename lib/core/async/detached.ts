import { AsyncResource } from 'node:async_hooks';

const root = new AsyncResource('NestCallbacksDetached');

/**
 * Does some work that is nobody's doing in no async context of anybody's: neither in that of the caller, nor of whoever has started
 * the application.
 */
export const detached = <T>(work: () => T): T => root.runInAsyncScope(work);
