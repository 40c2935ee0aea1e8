import { loadPeer } from '../engine/index.js';

let loading: Promise<typeof import('pg-boss')> | undefined;

/** Imports pg-boss, once. Its types are no business of the files that a user's compiler reads, so none of those exports it. */
export const importBoss = (): Promise<typeof import('pg-boss')> =>
  (loading ??= load().catch((error: unknown) => {
    loading = undefined;
    throw error;
  }));

const load = () =>
  loadPeer(
    'pg-boss',
    async () => {
      try {
        return await import('pg-boss');
      } catch (error) {
        throw error as Error; // A bundler lets a package be absent whose import stands in a try.
      }
    },
    ['@opentelemetry/api'],
  );
