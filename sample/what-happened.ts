import { AsyncLocalStorage } from 'node:async_hooks';
import { tracingChannel } from 'node:diagnostics_channel';
import type { CallbackTrace } from 'nestjs-callbacks';

/** What one callback did. */
export interface Step {
  readonly callback: string;
  status: 'running' | 'done' | 'failed';
  error?: string;
}

const stepsOf = new AsyncLocalStorage<Step[]>();
const open = new WeakMap<CallbackTrace, Step>();

tracingChannel<unknown, CallbackTrace>('nestjs-callbacks:callback').subscribe({
  start(trace) {
    const steps = stepsOf.getStore();
    if (!steps) return;
    const step: Step = { callback: trace.callback, status: 'running' };
    open.set(trace, step);
    steps.push(step);
  },
  end() {},
  asyncStart() {},
  asyncEnd(trace) {
    const step = open.get(trace);
    if (step?.status === 'running') step.status = 'done';
  },
  error(trace) {
    const step = open.get(trace);
    if (step) Object.assign(step, { status: 'failed', error: (trace.error as Error).message });
  },
});

/**
 * Does `work`, and collects what each callback that it caused did: the diagnostics channel tells, and nobody else has
 * to know of it. Background callbacks join the steps as they begin.
 */
export const whatHappened = <T>(steps: Step[], work: () => T): T => stepsOf.run(steps, work);
