import { AsyncLocalStorage } from 'node:async_hooks';
import { tracingChannel } from 'node:diagnostics_channel';
import { Injectable, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import type { CallbackTrace } from 'nestjs-callbacks';

/** What one callback did. */
export interface Step {
  readonly callback: string;
  status: 'running' | 'done' | 'failed';
  error?: string;
}

/**
 * Collects what each callback that some work caused did: the diagnostics channel tells, and nobody else has to know of
 * it. Durable callbacks, which this process or another performs later, are told apart by the id of their delivery.
 */
@Injectable()
export class WhatHappened implements OnModuleInit, OnModuleDestroy {
  private readonly channel = tracingChannel<unknown, CallbackTrace>('nestjs-callbacks:callback');
  private readonly stepsOf = new AsyncLocalStorage<Step[]>();
  private readonly stepsOfDelivery = new Map<string, Step[]>();
  private readonly open = new WeakMap<CallbackTrace, Step>();

  onModuleInit(): void {
    this.channel.subscribe(this.subscriber);
  }

  onModuleDestroy(): void {
    this.channel.unsubscribe(this.subscriber);
  }

  /** @param id of the deliveries that the work causes, if they are of interest */
  during<T>(steps: Step[], work: () => T, id?: string): T {
    if (id) this.stepsOfDelivery.set(id, steps);
    return this.stepsOf.run(steps, work);
  }

  private readonly subscriber = {
    start: (trace: CallbackTrace) => {
      const steps = trace.id ? this.stepsOfDelivery.get(trace.id) : this.stepsOf.getStore();
      if (!steps) return;
      const step: Step = { callback: trace.callback, status: 'running' };
      this.open.set(trace, step);
      steps.push(step);
    },
    end: () => {},
    asyncStart: () => {},
    asyncEnd: (trace: CallbackTrace) => {
      const step = this.open.get(trace);
      if (step?.status === 'running') step.status = 'done';
    },
    error: (trace: CallbackTrace) => {
      const step = this.open.get(trace);
      if (step) Object.assign(step, { status: 'failed', error: (trace.error as Error).message });
    },
  };
}
