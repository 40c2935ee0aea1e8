import { sentenceOf } from './describe.js';
import { EventsError } from './events-error.js';

export const isCodecFailure = (error: unknown): boolean =>
  error instanceof EventsError && error.code === 'EVENTS_CODEC_FAILED';

/** @param did what the codec did, after "The codec of EventsModule" */
export const codecFailed = (did: string, remedy: string, cause?: unknown) =>
  new EventsError(
    'EVENTS_CODEC_FAILED',
    `The codec of EventsModule ${did}${cause === undefined ? '.' : `: ${sentenceOf(cause)}`} ${remedy}`,
    { cause },
  );
