/** How long an answer is waited for. */
import { expect, it } from '@jest/globals';
import { stat } from 'node:fs';
import { promisify } from 'node:util';
import { NoAnswerError, within } from 'nestjs-callbacks/engine';

it('an answer that has come while the process was busy has come in time, and one that has not is given up', async () => {
  const both = Promise.allSettled([within(1, promisify(stat)(import.meta.dirname)), within(1, new Promise(() => {}))]);
  const until = performance.now() + 200;
  while (performance.now() < until);
  expect(await both).toEqual([
    { status: 'fulfilled', value: expect.anything() },
    { status: 'rejected', reason: expect.any(NoAnswerError) },
  ]);
});
