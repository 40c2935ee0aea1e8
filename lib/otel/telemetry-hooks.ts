import { context, type Span, SpanKind, trace, type Tracer } from '@opentelemetry/api';
import type { AttemptOutcome, HookedAttempt, HookedCall, HookedRun, HookedStoring, WorkHooks } from '../core/seams.js';
import { ofEvent, ofHeaders, ofProcessing, ofSending } from './attributes.js';
import type { Measures } from './measures.js';
import type { CompleteOptions } from './options.js';
import { inContext, quietly } from './quietly.js';
import { hearsSdk, NAME } from './sdk.js';
import { begin, endFailed, endWell, inSpan } from './spans.js';
import { readContext, writeContext } from './trace-context.js';

/** Has the work of an application take place in spans, and measures it. */
export class TelemetryHooks implements WorkHooks {
  private readonly tracer: Tracer = trace.getTracer(NAME);
  private hasFoundSdk = false;
  /** Absent unless each call is to have a span, so that none pays for it. */
  readonly call?: WorkHooks['call'];

  constructor(
    private readonly measures: Measures | undefined,
    private readonly options: CompleteOptions,
  ) {
    if (options.callbacks) this.call = (called, proceed) => this.inCall(called, proceed);
  }

  /** Absent as long as there is no SDK, so that no run pays for it. */
  get run(): WorkHooks['run'] {
    return this.findSdk() ? this.inRun : undefined;
  }

  private readonly inRun = ({ event }: HookedRun, proceed: () => Promise<unknown>): Promise<unknown> =>
    inSpan(this.tracer, `run ${event}`, ofEvent(event), proceed);

  readonly store = async (stored: HookedStoring, proceed: () => Promise<void>): Promise<void> => {
    const { event, callbacks, headers } = stored;
    const since = performance.now();
    const outer = context.active();
    const span = this.beginSending(stored);
    const within = span ? trace.setSpan(outer, span) : outer;
    if (span) quietly(() => writeContext(within, headers, this.options.baggage));
    try {
      await inContext(within, proceed);
    } catch (error) {
      if (span) endFailed(span, error);
      quietly(() => this.measures?.sent(event, callbacks.length, since, performance.now(), { error }));
      throw error;
    }
    const until = performance.now();
    // A span that is never ended is never exported: nothing was sent by a transaction that is rolled back.
    stored.whenKept(() => {
      if (span) endWell(span, until);
      quietly(() => this.measures?.sent(event, callbacks.length, since, until));
    });
  };

  private beginSending({ event, id, callbacks, headers }: HookedStoring): Span | undefined {
    return begin(this.tracer, `send ${event}`, context.active(), {
      kind: SpanKind.PRODUCER,
      attributes: {
        ...ofSending(event),
        'messaging.message.id': id,
        ...(callbacks.length > 1 && { 'messaging.batch.message_count': callbacks.length }),
        ...ofHeaders(headers, this.options.headers),
      },
    });
  }

  readonly attempt = (attempt: HookedAttempt, proceed: () => Promise<void>): Promise<void> => {
    const { event, callback, id, headers } = attempt;
    const cause = readContext(headers);
    const isPart = this.options.attempts === 'parent';
    const outer = isPart ? cause : trace.deleteSpan(cause);
    const span = begin(this.tracer, `process ${event}`, outer, {
      kind: SpanKind.CONSUMER,
      attributes: {
        ...ofProcessing(event, callback),
        'messaging.message.id': id,
        'nestjs_callbacks.attempt': attempt.attempt,
        ...ofHeaders(headers, this.options.headers),
      },
      ...(!isPart && { cause }),
    });
    const since = performance.now();
    quietly(() => this.measures?.begun(event, callback));
    attempt.whenDecided((outcome, at) => {
      if (span) endAttempt(span, outcome, at);
      quietly(() => this.measures?.processed(event, callback, at - since, failureIn(outcome)));
    });
    return span ? inContext(trace.setSpan(outer, span), proceed) : proceed();
  };

  /** Whether there is an SDK. One that was found stays. */
  private findSdk(): boolean {
    return (this.hasFoundSdk ||= hearsSdk());
  }

  /** A durable callback has the span of its attempt. */
  private inCall({ callback, delivery }: HookedCall, proceed: () => unknown): unknown {
    if (delivery === 'durable' || !this.findSdk()) return proceed();
    const attributes = { 'nestjs_callbacks.callback': callback, 'nestjs_callbacks.delivery': delivery };
    return inSpan(this.tracer, `call ${callback}`, attributes, proceed);
  }
}

/** Why an attempt has not ended well, if it has not. What was handed back is no failure. */
const failureIn = (outcome: AttemptOutcome) => ('error' in outcome ? outcome : undefined);

/** Ends the span of an attempt with what becomes of the delivery. */
function endAttempt(span: Span, outcome: AttemptOutcome, at: number): void {
  const isDead = outcome.status === 'failed' && outcome.retryInMs === undefined;
  quietly(() => span.setAttribute('nestjs_callbacks.outcome', isDead ? 'dead' : outcome.status));
  if ('error' in outcome) endFailed(span, outcome.error, at);
  else endWell(span, at);
}
