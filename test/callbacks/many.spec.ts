/** Very many callbacks of one event: they are ordered as few are, and at boot nothing looks through all of them for each. */
import { afterEach, describe, expect, it } from '@jest/globals';
import { Injectable, type Type } from '@nestjs/common';
import { Callback, type CallbackOptions, EventsInspector } from 'nestjs-callbacks';
import { closeApps, startApp } from '../support/app.js';

afterEach(closeApps);

/** Provides callbacks of `x` with these options, so many to a class, whose ids are their numbers. */
function providersOf(options: readonly CallbackOptions[], perClass: number): Type[] {
  const types: Type[] = [];
  for (let from = 0; from < options.length; from += perClass) {
    class Some {}
    for (let index = from; index < Math.min(from + perClass, options.length); index++) {
      const name = `go${index}`;
      const descriptor = { value() {}, configurable: true, writable: true };
      Object.defineProperty(Some.prototype, name, descriptor);
      Callback('x', { id: String(index), ...options[index] })(Some.prototype, name, descriptor);
    }
    Injectable()(Some);
    types.push(Some);
  }
  return types;
}

async function orderOf(providers: Type[]): Promise<number[]> {
  const { app } = await startApp(providers);
  return app.get(EventsInspector).callbacks.map(({ callback }) => Number(callback));
}

const COUNT = 100_000;
const upTo = (count: number) => Array.from({ length: count }, (_, index) => index);

// What looks through all callbacks for each of them would take minutes here.
describe('A hundred thousand callbacks of one event', () => {
  it('A19: that each wait for the next one run the other way round', async () => {
    const options = upTo(COUNT).map((index) => (index < COUNT - 1 ? { after: String(index + 1) } : {}));
    expect(await orderOf(providersOf(options, 500))).toEqual(upTo(COUNT).toReversed());
  });

  it('A19: of which half wait for all of one class, and half come before all of another', async () => {
    class Middle {
      @Callback('x', { id: '-1' }) one() {}
    }
    for (const index of upTo(500)) {
      const descriptor = { value() {}, configurable: true, writable: true };
      Object.defineProperty(Middle.prototype, `go${index}`, descriptor);
      Callback('x', { id: '-1' })(Middle.prototype, `go${index}`, descriptor);
    }
    Injectable()(Middle);
    const options = upTo(COUNT).map((index) => (index % 2 ? { before: Middle } : { after: Middle }));
    const order = await orderOf([...providersOf(options, 500), Middle]);
    expect(order.filter((index) => index !== -1)).toEqual([
      ...upTo(COUNT).filter((index) => index % 2),
      ...upTo(COUNT).filter((index) => index % 2 === 0),
    ]);
    expect([order.indexOf(-1), order.lastIndexOf(-1)]).toEqual([COUNT / 2, COUNT / 2 + 500]);
  });
});

it('A19: Each class that an order names is looked up, rather than asked of each callback', async () => {
  let asked = 0;
  const named = upTo(200).map(() => {
    class Named {
      @Callback('x', { id: '-1' }) go() {}
      static [Symbol.hasInstance]() {
        asked++;
        return false;
      }
    }
    Injectable()(Named);
    return Named;
  });
  const options = named.map((after) => ({ after }));
  const order = await orderOf([...providersOf(options, 10), ...named]);
  expect(order).toHaveLength(400);
  expect(asked).toBe(0);
});

describe('The next callback is always the first that waits for none of the rest', () => {
  it.each(upTo(12))('A19: (%i)', async (seed) => {
    let state = seed + 1;
    const random = (below: number) => {
      state = (state * 48_271) % 2_147_483_647;
      return state % below;
    };
    const count = 40;
    // Only along this order, so that there is no circle.
    const place = upTo(count)
      .map((index) => [random(1_000), index])
      .toSorted(([a], [b]) => a - b)
      .map(([, index]) => index);
    const options = upTo(count).map(() => ({ before: [] as string[], after: [] as string[] }));
    for (let edges = 0; edges < 50; edges++) {
      const [a, b] = [random(count), random(count)].toSorted((one, other) => one - other);
      if (a === b) continue;
      if (random(2)) options[place[a]].before.push(String(place[b]));
      else options[place[b]].after.push(String(place[a]));
    }
    const mustWait = (index: number, rest: readonly number[]) =>
      rest.some(
        (other) => options[other].before.includes(String(index)) || options[index].after.includes(String(other)),
      );
    const expected: number[] = [];
    for (let rest = upTo(count); rest.length > 0; rest = rest.filter((index) => index !== expected.at(-1))) {
      expected.push(rest.find((index) => !mustWait(index, rest))!);
    }
    expect(await orderOf(providersOf(options, 7))).toEqual(expected);
  });
});
