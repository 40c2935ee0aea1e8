import { expect } from '@jest/globals';
import { eventsMatchers, type EventsMatchers } from '../index.js';

// Imported for its effect: in a spec, or once in a file that `setupFilesAfterEnv` names.
expect.extend(eventsMatchers);

declare module 'expect' {
  interface Matchers<R extends void | Promise<void>, T = unknown> extends EventsMatchers<R> {}
}

declare global {
  // What @types/jest calls it.
  namespace jest {
    interface Matchers<R, T = {}> extends EventsMatchers<R> {}
  }
}
