import { type Context, context, diag } from '@opentelemetry/api';

/** Asks something of the SDK, or of what the application has put into it. If that throws, telemetry lacks something, and nobody else. */
export function quietly<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    told(error);
    return undefined;
  }
}

/** Does some work in a context; in that of the caller, if the SDK fails to. */
export function inContext<T>(within: Context, work: () => T): T {
  let hasBegun = false;
  const begin = () => {
    hasBegun = true;
    return work();
  };
  try {
    return context.with(within, begin);
  } catch (error) {
    if (hasBegun) throw error;
    told(error);
    return work();
  }
}

const told = (error: unknown) =>
  diag.error('nestjs-callbacks: OpenTelemetry has failed, and something is missing', error);
