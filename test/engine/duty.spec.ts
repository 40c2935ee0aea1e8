/** When an instance asks for the duty of its application, and what it does when it has it. */
import { afterEach, expect, it } from '@jest/globals';
import { Duty, EngineHealth } from 'nestjs-callbacks/engine';
import { until } from '../support/app.js';

const duties: Duty[] = [];
afterEach(async () => {
  for (const duty of duties.splice(0)) await duty.stop();
});

/** Takes part for longer than a test lasts, so that it asks only once by itself. */
function dutyOf(take: () => Promise<boolean>) {
  const did: string[] = [];
  const duty = new Duty({
    take: async () => {
      did.push('asked');
      return take();
    },
    work: async () => void did.push('worked'),
    leave: async () => void did.push('left'),
    health: new EngineHealth({ log() {}, warn() {}, report: (message) => did.push(message) }, 'Store'),
    everyMs: 3_600_000,
  });
  duties.push(duty);
  return { duty, did };
}

it('asks at once when it hurries, and works only while it has the duty', async () => {
  let has = false;
  const { duty, did } = dutyOf(async () => has);
  duty.start();
  await until(() => did.length === 1);
  has = true;
  await until(() => {
    duty.hurry();
    return did.includes('worked');
  });
  expect(did.slice(0, 3)).toEqual(['asked', 'asked', 'worked']);
  expect(duty.isHeld).toBe(true);
});

it('leaves the duty when it stops, if it has it, and asks no more', async () => {
  const { duty, did } = dutyOf(async () => true);
  duty.start();
  await duty.stop();
  duty.hurry();
  duty.start();
  expect(did).toEqual(['asked', 'left']);
  const { duty: other, did: otherDid } = dutyOf(async () => false);
  other.start();
  await other.stop();
  expect(otherDid).toEqual(['asked']);
});
