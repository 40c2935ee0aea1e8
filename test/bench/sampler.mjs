// Measures by turns: this is what makes a ratio mean something on a machine with moods.

/** A loop of its own for each candidate, as each place in an application has its own: no feedback is shared. */
export const loop = (work) =>
  // oxlint-disable-next-line typescript/no-implied-eval
  new Function('work', 'return async (n) => { for (let i = 0; i < n; i++) await work(); }')(work);

/**
 * Nanoseconds per call of each candidate, one number per round. Every round runs every candidate once, for about
 * `sampleMs`, and begins with another one.
 *
 * @param candidates by name: a function to await, or `{ batch(n) }` that makes `n` calls itself
 */
export async function sample(candidates, { rounds, sampleMs = 1, warmUp = 12 }) {
  const running = [];
  for (const [name, work] of Object.entries(candidates)) {
    const batch = work.batch ?? loop(work);
    running.push({ name, batch, calls: await calibrate(batch, sampleMs), times: [] });
  }
  const turns = [...running];
  for (let round = -warmUp; round < rounds; round++) {
    turns.push(turns.shift());
    for (const { batch, calls, times } of turns) {
      const startedAt = process.hrtime.bigint();
      await batch(calls);
      if (round >= 0) times.push(Number(process.hrtime.bigint() - startedAt) / calls);
    }
  }
  return Object.fromEntries(running.map(({ name, times }) => [name, times]));
}

const ENOUGH_CALLS = 10_000;
const ENOUGH_MS = 50;

/** How many calls take about so long, once V8 has compiled them as well as it will. */
async function calibrate(batch, sampleMs) {
  let calls = 10;
  for (let made = 0, spent = 0; ; calls *= 4) {
    const startedAt = performance.now();
    await batch(calls);
    const ms = performance.now() - startedAt;
    made += calls;
    spent += ms;
    const isWarm = made >= ENOUGH_CALLS || spent >= ENOUGH_MS;
    if (isWarm && ms >= sampleMs) return Math.max(1, Math.round((calls * sampleMs) / ms));
  }
}

const at = (values, share) => values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) * share)];

export const median = (values) => at(values, 0.5);

/** Round by round against another candidate: the median, and the middle half of all rounds. */
export function ratio(times, base) {
  const ratios = times.map((time, round) => time / base[round]);
  return { ratio: at(ratios, 0.5), low: at(ratios, 0.25), high: at(ratios, 0.75) };
}
