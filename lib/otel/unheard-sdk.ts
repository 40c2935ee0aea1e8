import { Logger } from '@nestjs/common';
import { ProxyTracerProvider, trace } from '@opentelemetry/api';

/** Where every copy of the API keeps what an SDK has registered, with the version of the copy that has registered it. */
const REGISTERED = globalThis as { [key: symbol]: { readonly version?: string; readonly trace?: unknown } | undefined };

/** Warns of an SDK that was registered by another copy of the API, to which this one does not listen: else nothing would say why. */
export function warnOfUnheardSdk(): void {
  const registered = REGISTERED[Symbol.for('opentelemetry.js.api.1')];
  const provider = trace.getTracerProvider();
  const isHeard = !(provider instanceof ProxyTracerProvider) || provider.getDelegateTracer('nestjs-callbacks');
  if (!registered?.trace || isHeard) return;
  new Logger('EventsTelemetryModule').warn(
    `An SDK of OpenTelemetry was started by another copy of @opentelemetry/api, of version ${registered.version}, to which the copy that ` +
      'nestjs-callbacks loads does not listen: there are no spans and no metrics. npm ls @opentelemetry/api shows both. Keep one, ' +
      'of a version that the SDK takes.',
  );
}
