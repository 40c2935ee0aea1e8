import { Logger } from '@nestjs/common';
import { ProxyTracerProvider, trace } from '@opentelemetry/api';

/** The name of our tracer and our meter. */
export const NAME = 'nestjs-callbacks';

/** Whether the process has started an SDK for traces to which this copy of the API listens; it may yet. */
export function hearsSdk(): boolean {
  const provider = trace.getTracerProvider();
  return !(provider instanceof ProxyTracerProvider) || provider.getDelegateTracer(NAME) !== undefined;
}

/** Where every copy of the API keeps what an SDK has registered, with the version of the copy that has registered it. */
const REGISTERED = globalThis as { [key: symbol]: { readonly version?: string; readonly trace?: unknown } | undefined };

/** Warns of an SDK that was registered by another copy of the API, to which this one does not listen: else nothing would say why. */
export function warnOfUnheardSdk(): void {
  const registered = REGISTERED[Symbol.for('opentelemetry.js.api.1')];
  if (!registered?.trace || hearsSdk()) return;
  new Logger('EventsTelemetryModule').warn(
    `An SDK of OpenTelemetry was started by another copy of @opentelemetry/api, of version ${registered.version}, to which the copy that ` +
      'nestjs-callbacks loads does not listen: there are no spans and no metrics. npm ls @opentelemetry/api shows both. Keep one, ' +
      'of a version that the SDK takes.',
  );
}
