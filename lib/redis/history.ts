import { type HistoryEntry, MOST_HISTORY, type NewFailure } from '../engine/index.js';
import type { Client } from './connections.js';
import { parsed } from './stored-job.js';

/** The key of a job's logs. BullMQ removes them with the job, and its dashboards show them. The history is in them. */
export const logsKey = (jobKey: string) => `${jobKey}:logs`;

/** Adds an entry while the lock is ours. One that is told again, as the answer was lost, is there already. */
const ADD = `
  if redis.call('get', KEYS[1]) ~= ARGV[1] or redis.call('lindex', KEYS[2], -1) == ARGV[2] then return 0 end
  redis.call('rpush', KEYS[2], ARGV[2])
  redis.call('ltrim', KEYS[2], -${MOST_HISTORY}, -1)
  return 1`;

/** An entry, as a line of the logs. */
type Line = Omit<HistoryEntry, 'at'> & { readonly at: string };

/** Makes what adds a failure of now to the history of a job, each time the same one. */
export function historyWriter(client: Client, jobKey: string, failure: NewFailure): (token: string) => Promise<void> {
  const line = JSON.stringify({ at: new Date().toISOString(), ...failure } satisfies Line);
  return async (token) => void (await client.eval(ADD, 2, `${jobKey}:lock`, logsKey(jobKey), token, line));
}

/** Reads the history out of the logs of a job. Somebody else may have written there, too. */
export function historyIn(logs: readonly string[]): HistoryEntry[] {
  return logs.flatMap((line) => {
    const { at, ...entry } = (parsed(line) ?? {}) as Partial<Line>;
    return typeof at === 'string' && isEntry(entry) ? [{ at: new Date(at), ...entry }] : [];
  });
}

const isEntry = (entry: Partial<Line>): entry is Omit<Line, 'at'> => typeof entry.instance === 'string';
