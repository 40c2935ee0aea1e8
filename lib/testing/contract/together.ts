import assert from 'node:assert/strict';
import type { CallbackLimits, DurableCallback } from '../../engine/index.js';
import { addressOf } from './paused.js';
import { type ContractRule, rule } from './rule.js';
import { error, FAR_MS, type Scene } from './scene.js';

const TENANTS = ['acme', 'globex'];

/** Pauses a callback with limits, and has it go on. */
async function waitsForResume(
  scene: Scene,
  limits: CallbackLimits,
  headersOf: (tenant: string) => object,
): Promise<void> {
  const callback = scene.callback('Emails.greet', { limits });
  const engine = await scene.open(callback);
  await engine.pause!(addressOf(callback));
  const attempts = scene.attempts(engine, callback);
  for (const tenant of TENANTS) await engine.store([scene.delivery(headersOf(tenant))]);
  await attempts.nothingFor();
  await engine.resume!(addressOf(callback));
  await attempts.begun(2);
}

/** A callback that lets one delivery run at once, and puts the first off in some way. */
async function frees(scene: Scene, end: 'postpone' | 'retryIn'): Promise<void> {
  const callback: DurableCallback = scene.callback('Emails.greet', { limits: { running: 1 } });
  const engine = await scene.open(callback);
  const [first, second] = [scene.delivery(), scene.delivery()];
  const attempts = scene.attempts(engine, callback, (attempt) => {
    if (attempt.delivery.id === second.id) return attempt.complete();
    return end === 'postpone' ? attempt.postpone!(FAR_MS) : attempt.retryIn(FAR_MS, error);
  });
  await engine.store([first]);
  await attempts.begun(1);
  await engine.store([second]);
  await attempts.begun(2);
  assert.deepEqual(attempts.ids, [first.id, second.id]);
}

/** Rules on what holds deliveries up at the same time. */
export const togetherRules: readonly ContractRule[] = [
  rule(
    'heeds the pause of a callback with limits, and begins within them when it is resumed',
    (scene) => waitsForResume(scene, { running: 2, rate: { limit: 10, perMs: 1_000 } }, () => ({})),
    'pause',
    'limits',
  ),

  rule(
    'heeds the pause of a callback with limits of groups, and begins within them when it is resumed',
    (scene) => waitsForResume(scene, { groups: { by: 'tenant', running: 1 } }, (tenant) => ({ headers: { tenant } })),
    'pause',
    'groups',
  ),

  rule(
    'lets another delivery have the place of one that was postponed',
    (scene) => frees(scene, 'postpone'),
    'limits',
    'postponing',
  ),

  rule(
    'lets another delivery have the place of one that is to be tried again',
    (scene) => frees(scene, 'retryIn'),
    'limits',
  ),
];
