export { EventsTelemetryModule } from './telemetry.module.js';
export type { EventsTelemetryOptions } from './options.js';
