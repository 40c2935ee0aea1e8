import type { EngineAttempt, NewFailure, StoredError } from '../engine/index.js';
import { requireAddress } from './queue-name.js';

/** The data of a job, as a dashboard shows it. */
export interface JobData {
  readonly event: string;
  readonly givenId?: string;
  readonly key?: string;
  readonly headers?: EngineAttempt['delivery']['headers'];
  readonly arguments: EngineAttempt['delivery']['arguments'];
  /** How many attempts do not count, of those that earlier versions of this package have made. */
  readonly uncounted?: number;
}

/** A job that this instance has claimed. */
export interface ClaimedJob {
  readonly id: string;
  readonly name: string;
  /** The token of the claim. */
  readonly token: string;
  /** Absent where it is large, and has to be read by itself. */
  readonly data: JobData | null;
  readonly retryCount: number;
  /** How many of its attempts were not charged, as they ended with their instance. */
  readonly spared: number;
  /** How long it has been postponed, in all. */
  readonly postponedMs: number;
  /** It is the only suspect that is to run here, so that its begin is to be written down. */
  readonly isLoneSuspect: boolean;
  /** When it was asked for, by `performance.now()`. The claim is not older than that. */
  readonly claimedAt: number;
  /** How long after that it may begin, in milliseconds: a rate has let it begin for so long. */
  readonly slackMs: number;
}

/** The delivery that a job is. */
export function deliveryOf({ name, id }: Pick<ClaimedJob, 'name' | 'id'>, data: JobData): EngineAttempt['delivery'] {
  const { event, givenId, key, headers, arguments: args } = data;
  return {
    event,
    callback: requireAddress(name).callback,
    id,
    ...(givenId !== undefined && { givenId }),
    ...(key !== undefined && { key }),
    ...(headers && { headers }),
    arguments: args,
  };
}

/** Names an attempt. Two claims of one job differ in their token. */
export interface NamedAttempt {
  readonly name: string;
  readonly id: string;
  readonly attempt: number;
  readonly token: string;
}

/** How an attempt has ended, unless the delivery is completed. */
export interface Verdict extends NamedAttempt {
  readonly state: 'retry' | 'failed';
  readonly afterMs: number;
  readonly output?: StoredError;
  /** What the history is to remember of it, where it has failed. */
  readonly failure?: NewFailure;
  /** It was given back, or postponed, and counts for nothing. */
  readonly isUncounted: boolean;
  /** How long its callback has postponed it. */
  readonly postponedMs?: number;
}

export const namedAs = ({ name, id, retryCount, token }: ClaimedJob): NamedAttempt => ({
  name,
  id,
  attempt: retryCount,
  token,
});
