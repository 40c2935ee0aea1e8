import { type Attributes, metrics } from '@opentelemetry/api';
import { DURATION_BUCKETS, errorType, ofProcessing, ofSending } from './attributes.js';
import { NAME } from './sdk.js';

const DURATION = { unit: 's', advice: { explicitBucketBoundaries: DURATION_BUCKETS } };

/** Measures by the semantic conventions what is sent and processed. Its clock is `performance.now()`. */
export class Measures {
  private readonly sentMessages;
  private readonly sendDuration;
  private readonly consumedMessages;
  private readonly processDuration;

  constructor() {
    const meter = metrics.getMeter(NAME);
    this.sentMessages = meter.createCounter('messaging.client.sent.messages', {
      unit: '{message}',
      description: 'Deliveries that were stored, or could not be',
    });
    this.sendDuration = meter.createHistogram('messaging.client.operation.duration', {
      ...DURATION,
      description: 'How long storing the deliveries of a run took',
    });
    this.consumedMessages = meter.createCounter('messaging.client.consumed.messages', {
      unit: '{message}',
      description: 'Attempts that were begun',
    });
    this.processDuration = meter.createHistogram('messaging.process.duration', {
      ...DURATION,
      description: 'How long attempts took',
    });
  }

  /** Notes that the deliveries of a run were stored between two times, or could not be. */
  sent(event: string, count: number, since: number, until: number, failure?: { readonly error: unknown }): void {
    const attributes = withError(ofSending(event), failure);
    this.sentMessages.add(count, attributes);
    this.sendDuration.record((until - since) / 1_000, attributes);
  }

  begun(event: string, callback: string): void {
    this.consumedMessages.add(1, ofProcessing(event, callback));
  }

  processed(event: string, callback: string, ms: number, failure?: { readonly error: unknown }): void {
    const attributes = withError(ofProcessing(event, callback), failure);
    this.processDuration.record(ms / 1_000, attributes);
  }
}

const withError = (attributes: Attributes, failure: { readonly error: unknown } | undefined): Attributes =>
  failure ? { ...attributes, 'error.type': errorType(failure.error) } : attributes;
