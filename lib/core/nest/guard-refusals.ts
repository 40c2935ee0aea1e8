import { ForbiddenException, HttpException } from '@nestjs/common';
import type { GuardsConsumer } from './internals.js';
import { explainFailure } from './written-for-requests.js';

const refusals = new WeakSet<object>();

/** Whether a guard has refused the call, rather than failed, and not the callback thrown something alike. */
export const isRefusal = (error: unknown): boolean =>
  typeof error === 'object' && error !== null && refusals.has(error);

/** Asks guards as Nest does, and notes the exception with which they refuse: their own, or Nest's. */
export function notingRefusals(consumer: GuardsConsumer): GuardsConsumer {
  return {
    async tryActivate(guards, ...rest) {
      const refuse = (error: HttpException): never => {
        refusals.add(error);
        throw error;
      };
      const isAllowed = await consumer.tryActivate(guards, ...rest).catch((error: unknown) => {
        if (error instanceof HttpException && error.getStatus() < 500) return refuse(error);
        explainFailure(error, 'guard');
        throw error;
      });
      return isAllowed || refuse(new ForbiddenException('Forbidden resource'));
    },
  };
}
