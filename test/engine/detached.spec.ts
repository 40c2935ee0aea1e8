/** What an engine does for all, it does in the async context of nobody: a claim is no part of the trace that has stored something. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { afterEach, describe, expect, it } from '@jest/globals';
import { ClaimLoop, Duty, EngineHealth } from 'nestjs-callbacks/engine';
import { until } from '../support/app.js';

const storage = new AsyncLocalStorage<string>();
const host = { instance: 'here', log() {}, warn() {}, report() {} };
const stops: (() => unknown)[] = [];
afterEach(() => Promise.all(stops.splice(0).map((stop) => stop())));

describe('What an engine does for all', () => {
  it('is done in nobody’s context: claims', async () => {
    const seen: unknown[] = [];
    const loop = new ClaimLoop({
      hasRoom: () => true,
      claim: async () => {
        await null;
        seen.push(storage.getStore());
        return seen.length < 2;
      },
      onFailure() {},
    });
    stops.push(() => loop.stop());
    storage.run('a request', () => loop.wake());
    await until(() => seen.length === 2);
    expect(seen).toEqual([undefined, undefined]);
  });

  it('is done in nobody’s context: the duty', async () => {
    const seen: unknown[] = [];
    const look = async () => void seen.push(storage.getStore());
    const take = async () => {
      await look();
      return { isHeld: true };
    };
    const duty = new Duty({ take, work: look, health: new EngineHealth(host, 'store'), everyMs: 5 });
    stops.push(() => duty.stop());
    storage.run('a request', () => duty.start());
    await until(() => seen.length >= 4);
    storage.run('an attempt', () => duty.hurry());
    await until(() => seen.length >= 8);
    expect(new Set(seen)).toEqual(new Set([undefined]));
  });
});
