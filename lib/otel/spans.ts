import {
  type Attributes,
  type Context,
  context,
  INVALID_TRACEID,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
  type Tracer,
} from '@opentelemetry/api';
import { isThenable } from '../core/seams.js';
import { messageOf } from '../engine/index.js';
import { errorType } from './attributes.js';

/** Says what a span is to begin with. */
interface Begin {
  readonly kind: SpanKind;
  readonly attributes: Attributes;
  /** The context that holds the span which has caused it, without being around it. */
  readonly cause?: Context;
}

/** Begins a span within a context; `undefined` where the application has no SDK. */
export function begin(tracer: Tracer, name: string, within: Context, { kind, attributes, cause }: Begin) {
  const linked = cause && trace.getSpanContext(cause);
  const span = tracer.startSpan(name, { kind, attributes, ...(linked && { links: [{ context: linked }] }) }, within);
  return span.spanContext().traceId === INVALID_TRACEID ? undefined : span;
}

/** Does some work in a span that ends with it. */
export function inSpan<T>(tracer: Tracer, name: string, attributes: Attributes, work: () => T): T {
  const outer = context.active();
  const span = begin(tracer, name, outer, { kind: SpanKind.INTERNAL, attributes });
  if (!span) return work();
  let result: T;
  try {
    result = context.with(trace.setSpan(outer, span), work);
  } catch (error) {
    endFailed(span, error);
    throw error;
  }
  if (!isThenable(result)) span.end();
  else {
    result.then(
      () => span.end(),
      (error: unknown) => endFailed(span, error),
    );
  }
  return result;
}

/** Ends a span by saying that its work has failed, as the conventions have it. */
export function endFailed(span: Span, error: unknown): void {
  span.setAttribute('error.type', errorType(error));
  span.setStatus({ code: SpanStatusCode.ERROR });
  span.recordException(error instanceof Error ? error : messageOf(error));
  span.end();
}
