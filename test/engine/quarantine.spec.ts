/** What a quarantine promises the workers of an instance, each of which may come upon a suspect. */
import { beforeEach, describe, expect, it } from '@jest/globals';
import { Quarantine } from 'nestjs-callbacks/engine';

describe('A quarantine', () => {
  let quarantine: Quarantine;
  let woken: string[];
  const waiter = (name: string) => ({ wake: () => void woken.push(name) });
  beforeEach(() => {
    quarantine = new Quarantine();
    woken = [];
  });

  it('lets one in at a time', () => {
    expect([quarantine.tryEnter(), quarantine.tryEnter()]).toEqual([true, false]);
    quarantine.leave();
    expect([quarantine.tryEnter(), quarantine.tryEnter()]).toEqual([true, false]);
  });

  it('wakes those who wait one by one, in the order of asking, each when the one before has left', () => {
    quarantine.tryEnter();
    const [first, second] = [waiter('first'), waiter('second')];
    for (const one of [first, second, first]) quarantine.waitFor(one);
    expect(woken).toEqual([]);
    quarantine.leave();
    expect(woken).toEqual(['first']);
    quarantine.tryEnter();
    quarantine.leave();
    expect(woken).toEqual(['first', 'second']);
    quarantine.leave();
    expect(woken).toEqual(['first', 'second']);
  });

  it('wakes at once who begins to wait when it is free already', () => {
    quarantine.waitFor(waiter('late'));
    expect(woken).toEqual(['late']);
  });
});
