/** What a quarantine promises the workers of an instance, each of which may come upon a suspect. */
import { beforeEach, describe, expect, it } from '@jest/globals';
import { SPARED_OFTEN, Quarantine } from 'nestjs-callbacks/engine';

describe('A quarantine', () => {
  let quarantine: Quarantine;
  let woken: string[];
  const waiter = (name: string) => ({ wake: () => void woken.push(name) });
  beforeEach(() => {
    quarantine = new Quarantine();
    woken = [];
  });

  it('lets one in at first, and one more for each that has ended well', () => {
    expect([quarantine.tryEnter(), quarantine.tryEnter()]).toEqual([true, false]);
    expect(quarantine.isForOne).toBe(true);
    quarantine.leave('ended');
    expect(quarantine.isForOne).toBe(false);
    expect([quarantine.tryEnter(), quarantine.tryEnter(), quarantine.tryEnter()]).toEqual([true, true, false]);
  });

  it('lets one in only alone that was spared often, and begins anew with it', () => {
    const enters = (spared: number) => quarantine.tryEnter(spared);
    enters(0);
    quarantine.leave('ended');
    expect([enters(SPARED_OFTEN - 1), enters(SPARED_OFTEN), enters(0)]).toEqual([true, false, true]);
    quarantine.leave('ended');
    quarantine.leave('ended');
    expect([enters(SPARED_OFTEN), quarantine.isForOne, enters(0)]).toEqual([true, true, false]);
  });

  it('begins anew when none is found, unless some are there still', () => {
    quarantine.tryEnter();
    quarantine.leave('ended');
    quarantine.tryEnter();
    quarantine.tryEnter();
    quarantine.leave('none');
    expect(quarantine.isForOne).toBe(false);
    quarantine.leave('none');
    expect(quarantine.isForOne).toBe(true);
  });

  it('wakes those who wait in the order of asking, as many as there are places', () => {
    quarantine.tryEnter();
    const [first, second] = [waiter('first'), waiter('second')];
    for (const one of [first, second, first]) quarantine.waitFor(one);
    expect(woken).toEqual([]);
    quarantine.leave('none');
    expect(woken).toEqual(['first', 'second']);
  });

  it('wakes those who wait one by one while who is woken enters, and the next when a turn is passed on', () => {
    quarantine.tryEnter();
    quarantine.waitFor({ wake: () => void quarantine.tryEnter() });
    quarantine.waitFor({ wake: () => quarantine.passOn() });
    quarantine.waitFor(waiter('last'));
    quarantine.leave('none');
    expect(woken).toEqual([]);
    quarantine.leave('none');
    expect(woken).toEqual(['last']);
  });

  it('wakes at once who begins to wait when it is free already', () => {
    quarantine.waitFor(waiter('late'));
    expect(woken).toEqual(['late']);
  });
});
