/** What `limits` promises of a durable callback, and which limits make no sense. How engines keep them, their contract says. */
import { afterEach, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Callback, type CallbackOptions } from 'nestjs-callbacks';
import { type CallbackLimits, type DurableCallback, type DurableEngine, groupOf } from 'nestjs-callbacks/engine';
import { memoryEngine, MemoryStore } from 'nestjs-callbacks/testing';
import { closeApps, startApp, until } from '../support/app.js';

afterEach(closeApps);

/** Declares a callback, durable if nothing else is said. */
function declare(options: CallbackOptions) {
  @Injectable()
  class Emails {
    @Callback('user_joined', { delivery: 'durable', ...options }) greet(name: string) {
      void name;
    }
  }
  return Emails;
}

/** An engine that can do less. */
const lacking = (lacks: object) => () => {
  const engine = memoryEngine()();
  return Object.assign(Object.create(engine) as DurableEngine, { capabilities: { ...engine.capabilities, ...lacks } });
};

describe('Limits', () => {
  it('reach the engine as they were given', async () => {
    const declared: (CallbackLimits | undefined)[] = [];
    const engine = memoryEngine()();
    const noting = Object.assign(Object.create(engine) as DurableEngine, {
      declare: (callbacks: readonly DurableCallback[]) => {
        declared.push(...callbacks.map(({ limits }) => limits));
        return engine.declare(callbacks);
      },
    });
    const limits = { rate: { limit: 10, perMs: 1_000 }, running: 5, groupBy: 'tenant', runningPerGroup: 2 };
    await startApp([declare({ limits }), declare({ id: 'Emails.other' })], { engine: () => noting });
    expect(declared).toEqual([
      { rate: { limit: 10, perMs: 1_000 }, running: 5, groups: { by: 'tenant', running: 2 } },
      undefined,
    ]);
  });

  it('hold up what begins then without being charged', async () => {
    const begun: string[] = [];
    @Injectable()
    class Emails {
      @Callback('user_joined', { delivery: 'durable', limits: { rate: { limit: 2, perMs: 200 } } }) greet(
        name: string,
      ) {
        begun.push(name);
      }
    }
    const { events } = await startApp([Emails], { engine: memoryEngine({ store: new MemoryStore() }) });
    for (const name of ['a', 'b', 'c', 'd', 'e']) await events.run('user_joined', name);
    await until(() => begun.length === 5);
    // What comes too late to its permit is given back, and begins after others.
    expect(begun.toSorted()).toEqual(['a', 'b', 'c', 'd', 'e']);
  });

  it.each<[string, CallbackOptions, string]>([
    [
      'nothing',
      { limits: {} },
      'limits: {}, which limits nothing. Pass rate, running, or groupBy with runningPerGroup.',
    ],
    [
      'null',
      { limits: null as never },
      'limits: null. Pass { rate: { limit, perMs }, running, groupBy, runningPerGroup }',
    ],
    ['an array', { limits: [] as never }, 'limits: []. Pass { rate'],
    ['0 running', { limits: { running: 0 } }, 'limits.running: 0. Pass a whole number, 1 or more.'],
    ['1.5 running', { limits: { running: 1.5 } }, 'limits.running: 1.5. Pass a whole number, 1 or more.'],
    ['Infinity', { limits: { running: Infinity } }, 'limits.running: Infinity. Pass a whole number, 1 or more.'],
    ['a rate that is a number', { limits: { rate: 10 as never } }, 'limits.rate: 10. Pass { limit: 10, perMs: 1_000 }'],
    ['a rate of 0', { limits: { rate: { limit: 0, perMs: 1_000 } } }, 'limits.rate.limit: 0. Pass a whole number'],
    [
      'a rate without perMs',
      { limits: { rate: { limit: 10 } as never } },
      'without perMs. Say in how many milliseconds',
    ],
    ['a rate without limit', { limits: { rate: { perMs: 10_000 } as never } }, 'without limit. Say how many may begin'],
    [
      'a short rate',
      { limits: { rate: { limit: 1, perMs: 10 } } },
      'limits.rate.perMs: 10. Pass whole milliseconds, from 100',
    ],
    [
      'undefined',
      { limits: { rate: { limit: 1, perMs: undefined as never } } },
      'limits.rate.perMs: undefined. Pass whole',
    ],
    [
      'an unknown field',
      { limits: { runing: 5 } as never },
      'which @Callback() does not have. Did you mean "limits.running"?',
    ],
    [
      'runningPerGroup alone',
      { limits: { runningPerGroup: 2 } },
      'limits.runningPerGroup: 2, without groupBy. Say what makes a group',
    ],
    [
      'groupBy alone',
      { limits: { groupBy: 'tenant' } },
      `limits.groupBy: 'tenant', without runningPerGroup. Say how many`,
    ],
    [
      'capitals',
      { limits: { groupBy: 'X-Tenant', runningPerGroup: 1 } },
      `Names of headers are in lower case: pass 'x-tenant'.`,
    ],
    [
      'no name',
      { limits: { groupBy: 'a tenant', runningPerGroup: 1 } },
      `Pass the name of a header, in lower case, or 'key'.`,
    ],
    [
      'more of a group than of all',
      { limits: { running: 2, groupBy: 'tenant', runningPerGroup: 3 } },
      'limits.runningPerGroup: 3, more than running: 2. So many of a group can never run: lower it, or raise running.',
    ],
    [
      'groups of an ordered callback',
      { ordered: true, limits: { groupBy: 'tenant', runningPerGroup: 3 } },
      'What is ordered is limited by rate and running only',
    ],
    [
      'keys of an ordered callback',
      { ordered: true, limits: { groupBy: 'key', runningPerGroup: 1 } },
      'Of a key only one runs at a time anyway',
    ],
    ['a callback that is not durable', { delivery: 'background', limits: { running: 1 } }, `but delivery 'background'`],
  ])('of %s are refused', (_name, options, message) => {
    expect(() => declare(options)).toThrow(message);
    expect(() => declare(options)).toThrow(expect.objectContaining({ code: 'EVENTS_CALLBACK_INVALID' }));
  });

  it('are refused of a remote callback: its own application has them', async () => {
    const remote = [{ event: 'user_joined', callback: 'Emails.greet', limits: { running: 1 } }];
    await expect(startApp([], { engine: memoryEngine(), remote: remote as never })).rejects.toThrow('remote[0].limits');
  });

  it.each([
    ['limits', { limits: undefined, groups: undefined }, { running: 1 }],
    ['limits.groupBy', { groups: undefined }, { groupBy: 'key', runningPerGroup: 1 }],
  ])('are refused at boot by an engine that cannot keep them: %s', async (what, lacks, limits) => {
    const starting = startApp([declare({ limits })], { engine: lacking(lacks) });
    await expect(starting).rejects.toMatchObject({
      code: 'EVENTS_ENGINE_UNSUITED',
      message: `Emails.greet asks for ${what}, which the engine memory cannot do. Remove the option, or choose another engine.`,
    });
  });

  it('tell groups by the header or the key, and those that have neither from all others', () => {
    const of = (headers: Record<string, string>, key?: string) => ({ headers, ...(key !== undefined && { key }) });
    const names = [of({ tenant: 'a' }), of({ tenant: '' }), of({ tenant: '-' }), of({}), of({}, 'a')];
    const groups = names.map((one) => groupOf(one, { by: 'tenant' }));
    expect(new Set(groups.slice(0, 4)).size).toBe(4);
    expect(groups[4]).toBe(groups[3]);
    expect(groupOf(of({ key: 'no' }, 'a'), { by: 'key' })).toBe(groups[0]);
    const long = groupOf(of({ tenant: 'a'.repeat(8_000) }), { by: 'tenant' });
    expect(long.length).toBeLessThan(100);
    expect(long).not.toBe(groupOf(of({ tenant: 'a'.repeat(8_001) }), { by: 'tenant' }));
  });
});
