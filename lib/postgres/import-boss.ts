import { loadPeer } from '../engine/index.js';

/** Imports pg-boss. Its types are no business of the files that a user's compiler reads, so none of those exports it. */
export const importBoss = () => loadPeer('pg-boss', () => import('pg-boss'), ['@opentelemetry/api']);
