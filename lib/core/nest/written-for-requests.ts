import type { CallHandler, NestInterceptor } from '@nestjs/common';
import { explain } from '../errors/explained.js';
import { isInstance } from '../errors/thrown.js';
import type { InterceptorsConsumer } from './internals.js';

/** Explains the kind of error with which a guard, an interceptor or a filter fails that takes every call for a request. */
export function explainFailure(error: unknown, kind: 'guard' | 'interceptor' | 'filter'): void {
  if (!isInstance(error, TypeError)) return;
  explain(
    error,
    `A ${kind} threw that. An event has no request: let it ask whether context.getType() === 'event', or switchToEvent(context).`,
  );
}

/** Asks interceptors as Nest does, and explains what they throw before they have handed on the call. */
export const explainingFailures = (consumer: InterceptorsConsumer): InterceptorsConsumer => ({
  intercept: (interceptors, ...rest) => consumer.intercept(interceptors.map(explaining), ...rest),
});

const explaining = (interceptor: NestInterceptor): NestInterceptor => ({
  async intercept(context, next) {
    let isHandedOn = false;
    const noting: CallHandler = {
      handle() {
        isHandedOn = true;
        return next.handle();
      },
    };
    try {
      return await interceptor.intercept(context, noting);
    } catch (error) {
      if (!isHandedOn) explainFailure(error, 'interceptor');
      throw error;
    }
  },
});
