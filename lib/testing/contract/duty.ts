import assert from 'node:assert/strict';
import type { DurableEngine } from '../../engine/index.js';
import { type ContractRule, loneRule } from './rule.js';
import type { Scene } from './scene.js';

/** Rules on the duty, which one instance has of all that work on a store. */
export const dutyRules: readonly ContractRule[] = [
  loneRule('gives the duty to one of the instances that work, and to none that does not', async (scene) => {
    const callback = scene.callback();
    const idle = await scene.openBrief(callback);
    const engines = await workingOn(scene);
    await hasOne(scene, engines);
    assert.equal(idle.hasDuty, false, 'an instance has the duty that does not work');
  }),

  loneRule('gives the duty to another instance when the one that has it stops, or dies', async (scene, harness) => {
    let engines = await workingOn(scene);
    for (const leave of [(engine: DurableEngine) => engine.stopWorking(), harness.cutOff]) {
      const holder = await hasOne(scene, engines);
      await leave(holder);
      await scene.until('the one that has left does not have the duty', () => !holder.hasDuty);
      engines = engines.filter((engine) => engine !== holder);
    }
    await hasOne(scene, engines);
  }),
];

/** Three instances that work on a callback. */
async function workingOn(scene: Scene): Promise<DurableEngine[]> {
  const callback = scene.callback();
  const engines = await Promise.all([1, 2, 3].map(() => scene.openBrief(callback)));
  for (const engine of engines) scene.attempts(engine, callback);
  return engines;
}

/** Resolves to the instance that has the duty, as soon as there is one. */
async function hasOne(scene: Scene, engines: readonly DurableEngine[]): Promise<DurableEngine> {
  const holders = () => engines.filter(({ hasDuty }) => hasDuty);
  await scene.until('one of the instances has the duty', () => holders().length === 1);
  return holders()[0];
}
