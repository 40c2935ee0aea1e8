/** When an instance asks for the duty of its application, and what it does when it has it. */
import { afterEach, expect, it } from '@jest/globals';
import { Duty, EngineHealth, type Term } from 'nestjs-callbacks/engine';
import { until } from '../support/app.js';

const duties: Duty[] = [];
afterEach(async () => {
  for (const duty of duties.splice(0)) await duty.stop();
});

/** Asks only once by itself, unless it is told to: the next time comes after the test. */
function dutyOf(take: () => Promise<Term>, everyMs = 3_600_000) {
  const did: string[] = [];
  const duty = new Duty({
    take: async () => {
      did.push('asked');
      return take();
    },
    work: async () => void did.push('worked'),
    leave: async () => void did.push('left'),
    health: new EngineHealth(
      { instance: 'here', log() {}, warn() {}, report: (message) => did.push(message) },
      'Store',
    ),
    everyMs,
  });
  duties.push(duty);
  return { duty, did };
}

it('asks at once when it hurries, and works only while it has the duty', async () => {
  let has = false;
  const { duty, did } = dutyOf(async () => ({ isHeld: has }));
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
  const { duty, did } = dutyOf(async () => ({ isHeld: true }));
  duty.start();
  await duty.stop();
  duty.hurry();
  duty.start();
  expect(did).toEqual(['asked', 'left']);
  const { duty: other, did: otherDid } = dutyOf(async () => ({ isHeld: false }));
  other.start();
  await other.stop();
  expect(otherDid).toEqual(['asked']);
});

it('does not have the duty any more from when it is to stop, though leaving takes a while', async () => {
  const { duty } = dutyOf(async () => ({ isHeld: true }));
  duty.start();
  await until(() => duty.isHeld);
  const stopping = duty.stop();
  expect(duty.isHeld).toBe(false);
  await stopping;
});

it('asks again when the answer says, whether it has the duty or not, and in its own time when there was none', async () => {
  const terms: Term[] = [{ isHeld: false, askInMs: 1 }, { isHeld: true, askInMs: 1 }, { isHeld: false }];
  const { duty, did } = dutyOf(async () => terms.shift()!);
  duty.start();
  await until(() => terms.length === 0);
  await duty.stop();
  expect(did).toEqual(['asked', 'asked', 'worked', 'asked']);

  const { duty: other, did: otherDid } = dutyOf(() => Promise.reject(new Error('away')), 1);
  other.start();
  await until(() => otherDid.length >= 4);
  expect(otherDid.slice(0, 4)).toEqual(['asked', expect.stringContaining('does not work'), 'asked', 'asked']);
});
