import { loadPeer } from '../engine/index.js';

/** Imports pg-boss. Its types are no business of the files that a user's compiler reads, so none of those exports it. */
export const importBoss = () =>
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
