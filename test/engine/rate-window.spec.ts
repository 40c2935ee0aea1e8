/** The arithmetic of a rate: whatever is claimed, and whenever it begins, no window has more than the limit. */
import { describe, expect, it } from '@jest/globals';
import { BeginSlack, PARTS, type RateLimit, RateWindow } from 'nestjs-callbacks/engine';

/** The same numbers each time, from 0 to 1. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32;
    return state / 2 ** 32;
  };
}

/** The most that begin in any window of a rate. */
function mostIn(begins: readonly number[], { perMs }: RateLimit): number {
  const sorted = begins.toSorted((one, other) => one - other);
  let [from, most] = [0, 0];
  for (let to = 0; to < sorted.length; to++) {
    while (sorted[to] - sorted[from] >= perMs) from++;
    most = Math.max(most, to - from + 1);
  }
  return most;
}

/** Claims as much as it can, at any times, by several who each begin when they like within their slack. */
function simulate(seed: number) {
  const random = randomOf(seed);
  const rate = { limit: 1 + Math.floor(random() * 40), perMs: 100 + Math.floor(random() * 2_000) };
  const slacks = Array.from({ length: 4 }, () => Math.floor((random() * rate.perMs) / 2));
  const hurry = random() * 3;
  const window = new RateWindow();
  const begins: number[] = [];
  let now = 1_000_000;
  for (let turn = 0; turn < 1_500; turn++) {
    now += Math.floor((random() * rate.perMs * hurry) / rate.limit);
    const count = Math.min(1 + Math.floor(random() * rate.limit), window.room(now, rate));
    if (count <= 0) continue;
    const slackMs = slacks[Math.floor(random() * slacks.length)];
    window.take(count, now, slackMs, rate);
    // As late as may be, or at once: the worst is where the ends of two slacks meet.
    for (let one = 0; one < count; one++) begins.push(now + (random() < 0.5 ? slackMs : random() * slackMs));
  }
  return { rate, begins };
}

describe('A rate', () => {
  it('lets no more begin in any window than its limit, whatever is claimed when, and begins when', () => {
    for (let seed = 1; seed <= 200; seed++) {
      const { rate, begins } = simulate(seed);
      const most = mostIn(begins, rate);
      if (most > rate.limit) throw new Error(`${most} of ${rate.limit} in ${rate.perMs} ms, with seed ${seed}`);
      expect(begins.length).toBeGreaterThan(rate.limit);
    }
  });

  it('lets begin nearly as many as it says, where they begin at once', () => {
    const rate = { limit: 10, perMs: 1_000 };
    const window = new RateWindow();
    let begun = 0;
    for (let now = 0; now < 60_000; now += 5) {
      const room = window.room(now, rate);
      if (room > 0) window.take(room, now, 100, rate);
      begun += Math.max(0, room);
    }
    expect(begun).toBeGreaterThan(0.85 * 600);
    expect(begun).toBeLessThanOrEqual(600);
  });

  it('keeps few numbers, however high its limit', () => {
    const rate = { limit: 1_000_000, perMs: 1_000 };
    const window = new RateWindow();
    for (let now = 0; now < 5_000; now++) window.take(100, now, 50, rate);
    const { permits } = window as unknown as { permits: unknown[] };
    expect(permits.length).toBeLessThanOrEqual(PARTS * 1.2);
  });

  it('says when it lets begin the next', () => {
    const rate = { limit: 2, perMs: 1_000 };
    const window = new RateWindow();
    window.take(2, 5_000, 100, rate);
    expect(window.room(5_500, rate)).toBe(0);
    const inMs = window.freeInMs(5_500, rate);
    expect(inMs).toBe(601);
    expect(window.room(5_500 + inMs, rate)).toBe(2);
  });

  it('lets no more begin, and goes on, when the clock is set back', () => {
    const rate = { limit: 2, perMs: 1_000 };
    const window = new RateWindow();
    window.take(2, 10_000_000, 100, rate);
    expect(window.room(5_000, rate)).toBe(0);
    expect(window.freeInMs(5_000, rate)).toBe(1_101);
    expect(window.room(6_101, rate)).toBe(2);
  });

  it('hands on permits that are good for longer where they were used too late, and for less again', () => {
    const slack = new BeginSlack({ limit: 1, perMs: 1_000 });
    expect(slack.ms).toBe(100);
    expect(slack.admit(performance.now() - 400, slack.ms)).toBe(false);
    const longer = slack.ms;
    expect(longer).toBeGreaterThanOrEqual(600);
    expect(slack.admit(performance.now() - 400, longer)).toBe(true);
    expect(slack.ms).toBe(longer);
    for (let turn = 0; turn < 5; turn++) expect(slack.admit(performance.now(), slack.ms)).toBe(true);
    expect(slack.ms).toBe(100);
  });
});
