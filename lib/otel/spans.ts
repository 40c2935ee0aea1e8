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
import { awaitable, whenSettled } from '../core/seams.js';
import { messageOf } from '../engine/index.js';
import { errorType } from './attributes.js';
import { inContext, quietly } from './quietly.js';

/** Says what a span is to begin with. */
interface Begin {
  readonly kind: SpanKind;
  readonly attributes: Attributes;
  /** The context that holds the span which has caused it, without being around it. */
  readonly cause?: Context;
}

/** Begins a span within a context; `undefined` where the application has no SDK. */
export function begin(
  tracer: Tracer,
  name: string,
  within: Context,
  { kind, attributes, cause }: Begin,
): Span | undefined {
  const linked = cause && trace.getSpanContext(cause);
  const options = { kind, attributes, ...(linked && { links: [{ context: linked }] }) };
  const span = quietly(() => tracer.startSpan(name, options, within));
  return span?.spanContext().traceId === INVALID_TRACEID ? undefined : span;
}

/** Does some work in a span that ends with it. */
export function inSpan<T>(tracer: Tracer, name: string, attributes: Attributes, work: () => T): T {
  const outer = context.active();
  const span = begin(tracer, name, outer, { kind: SpanKind.INTERNAL, attributes });
  if (!span) return work();
  const end = () => endWell(span);
  const fail = (error: unknown) => endFailed(span, error);
  let once: Promise<unknown> | undefined;
  try {
    const result = inContext(trace.setSpan(outer, span), () => {
      const returned = work();
      const waiting = awaitable(returned);
      // Some begin anew each time that they are asked: from here on this one is asked instead.
      if (waiting) once = Promise.resolve(waiting);
      return returned;
    });
    if (!once) {
      end();
      return result;
    }
  } catch (error) {
    fail(error);
    throw error;
  }
  whenSettled(once, end, fail);
  return once as T;
}

/** @param at when its work was over, by `performance.now()`; now if that is not said */
export function endWell(span: Span, at?: number): void {
  quietly(() => span.end(at));
}

/** Ends a span by saying that its work has failed, as the conventions have it. */
export function endFailed(span: Span, error: unknown, at?: number): void {
  quietly(() => span.setAttribute('error.type', errorType(error)));
  quietly(() => span.setStatus({ code: SpanStatusCode.ERROR }));
  // It reads what it likes of an error.
  quietly(() => span.recordException(error instanceof Error ? error : messageOf(error)));
  endWell(span, at);
}
