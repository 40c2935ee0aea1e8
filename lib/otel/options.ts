import { givenInvalid, IS_BOOLEAN, isHeaderName, show, wrongOption } from '../core/seams.js';
import type { OptionCheck } from '../engine/index.js';

/** The options of `EventsTelemetryModule.forRoot()`. All are optional. */
export interface EventsTelemetryOptions {
  /**
   * `'link'`: each attempt at a delivery is a trace of its own, linked to the span that stored it: the next one may come hours later.
   * `'parent'`: it is a part of the trace that stored it.
   * @default 'link'
   */
  readonly attempts?: 'link' | 'parent';
  /**
   * `true`: each call of an inline, background, after-commit or after-rollback callback has a span, too.
   * @default false
   */
  readonly callbacks?: boolean;
  /**
   * `false`: nothing is measured.
   * @default true
   */
  readonly metrics?: boolean;
  /**
   * Names of headers whose values become attributes of spans, as `nestjs_callbacks.header.<name>`. No other value does, and no argument.
   * @default none
   */
  readonly headers?: readonly string[];
  /**
   * `true`: the baggage of OpenTelemetry travels with deliveries, too, as far as it fits into the headers. It is stored in the clear.
   * @default false
   */
  readonly baggage?: boolean;
}

export type CompleteOptions = Required<EventsTelemetryOptions>;

const CHECKS: Record<keyof EventsTelemetryOptions, OptionCheck> = {
  attempts: { isValid: (value) => value === 'link' || value === 'parent', expected: `Pass 'link' or 'parent'.` },
  callbacks: IS_BOOLEAN,
  metrics: IS_BOOLEAN,
  headers: {
    isValid: (value) => Array.isArray(value) && value.every((name) => typeof name === 'string' && isHeaderName(name)),
    expected: `Pass names of headers, as in ['tenant'].`,
  },
  baggage: IS_BOOLEAN,
};

/** @throws EVENTS_OPTION_INVALID */
export function completeOptions(options: EventsTelemetryOptions = {}): CompleteOptions {
  const refused = (found: string, remedy: string) => givenInvalid('EventsTelemetryModule.forRoot()', found, remedy);
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw refused(show(options), 'Pass an object.');
  }
  const wrong = wrongOption(options, CHECKS);
  if (wrong) {
    const { option, value, isKnown, remedy } = wrong;
    throw refused(`${option}: ${show(value)}${isKnown ? '' : ', which is not an option of it'}`, remedy);
  }
  const { attempts = 'link', callbacks = false, metrics = true, headers = [], baggage = false } = options;
  return { attempts, callbacks, metrics, baggage, headers: headers.map((name) => name.toLowerCase()) };
}
