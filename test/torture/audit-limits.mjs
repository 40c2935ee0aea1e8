// Looks whether the limits of a callback were kept, over all instances.

const CALLBACK = 'Limited.go';
/** A claim lasts for 10 s, and was renewed at most a quarter of that ago: so long it surely counts after its instance was killed. */
const SURELY_HELD_MS = 7_000;

/** @param lines what the instances noted */
export function auditLimits(lines, { rate, running, runningPerGroup = Infinity }, { kills }) {
  const begins = lines.filter(({ what, callback }) => callback === CALLBACK && what === 'begin');
  const attempts = begins.map((begin) => ({ ...begin, end: endOf(begin, lines, begins, kills) }));
  const inWindow = most(attempts.map(({ at }) => [at, at + rate.perMs]));
  const atOnce = most(attempts.map(({ at, end }) => [at, end]));
  const tenants = [...new Set(attempts.map(({ tenant }) => tenant))];
  const ofGroup = Math.max(
    0,
    ...tenants.map((one) => most(attempts.flatMap(({ at, end, tenant }) => (tenant === one ? [[at, end]] : [])))),
  );
  const problems = [
    [inWindow, rate.limit, `began in ${rate.perMs} ms`],
    [atOnce, running, 'ran at once'],
    [ofGroup, runningPerGroup, 'of one group ran at once'],
  ].flatMap(([found, limit, what]) => (found > limit ? [`${found} ${what}, more than ${limit}`] : []));
  return {
    problems,
    figures: {
      'limited attempts': attempts.length,
      'of those in any window, at once, of a group': `${inWindow} of ${rate.limit}, ${atOnce} of ${running}, ${ofGroup} of ${runningPerGroup}`,
    },
  };
}

/** When an attempt had ended: done, or begun anew elsewhere, or killed so long ago that its claim may have run out. */
function endOf({ at, id, instance, attempt }, lines, begins, kills) {
  const isSame = (line) => line.callback === CALLBACK && line.id === id;
  const done = lines.find(
    (line) => isSame(line) && line.what === 'done' && line.instance === instance && line.attempt === attempt,
  );
  if (done) return done.at;
  const again = begins.find((line) => isSame(line) && line.at > at);
  const kill = kills.find((one) => one.instance === instance && one.at > at);
  return Math.min(again?.at ?? Infinity, kill ? kill.at + SURELY_HELD_MS : at);
}

/** How many of these spans overlap at most. One that ends when another begins does not. */
function most(spans) {
  const changes = spans.flatMap(([from, to]) => [
    [from, 1],
    [to, -1],
  ]);
  let [now, highest] = [0, 0];
  for (const [, change] of changes.toSorted(([one, plus], [other, minus]) => one - other || plus - minus)) {
    now += change;
    highest = Math.max(highest, now);
  }
  return highest;
}
