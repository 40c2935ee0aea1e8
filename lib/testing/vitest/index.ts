import { expect } from 'vitest';
import { eventsMatchers, type EventsMatchers } from '../index.js';

// Imported for its effect: in a spec, or once in a file that `setupFiles` names.
expect.extend(eventsMatchers);

declare module 'vitest' {
  interface Matchers<T = any> extends EventsMatchers<void> {}
}
