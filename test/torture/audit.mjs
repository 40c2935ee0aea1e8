// Compares what was acknowledged with what was performed.

const CALLBACKS = {
  mixed: ['Quick.go', 'Flaky.go', 'Hanging.go', 'Doomed.go'],
  ordered: ['Ordered.go'],
  exact: ['Exact.go'],
  newer: ['Newer.go'],
  limited: ['Limited.go'],
};

/** A claim lasts for 10 s, another instance has the duty within 3, and looks within 2.4; and each suspect waits for its turn. */
const LATEST_MS = 17_000;
const LEASE_MS = 10_000;
/** After so long all instances heed a pause. */
const HEEDED_MS = 1_000;
/** How long the duty is kept for an instance that is killed. */
const DUTY_MS = 3_000;

const NEVER_PAUSED = { windows: [], heeds: () => true };

/**
 * @param lines what the instances noted
 * @param kept `dead`, as `callback id`, and which deliveries are `open` still; `effects` by id
 * @param outages when the store was away: `[from, to]`
 * @param windows when callbacks were paused, and `heeds` which instances know of that
 */
export function audit(lines, { dead, open, effects }, { kills, outages }, { windows, heeds } = NEVER_PAUSED) {
  const problems = [];
  const runs = new Map();
  const performed = new Map();
  for (const line of lines.toSorted((a, b) => a.at - b.at)) {
    if (line.callback) {
      const key = `${line.callback} ${line.id}`;
      const attempts = performed.get(key) ?? { ...line, begins: [], dones: [] };
      performed.set(key, attempts);
      attempts[line.what === 'begin' ? 'begins' : 'dones'].push(line);
    } else if (line.id) {
      const { states = [], notes = [] } = runs.get(line.id) ?? {};
      runs.set(line.id, { ...line, states: [...states, line.what], notes: [...notes, line] });
    }
  }
  const has = (id, event) => (callback) => performed.has(`${callback} ${id}`) && CALLBACKS[event].includes(callback);

  const stored = [...runs.values()].filter(({ states }) => states.includes('stored'));
  for (const { id, event, number } of stored) {
    for (const callback of CALLBACKS[event]) {
      // It may have died between its commit and its note.
      const isDone = performed.get(`${callback} ${id}`)?.dones.length > 0 || effects.has(id);
      const isDead = dead.has(`${callback} ${id}`);
      if (!isDone && !isDead) problems.push(`lost: ${callback} of "${event}" ${number}, ${id}`);
    }
  }
  const vetoed = [...runs.values()].filter(({ states }) => states.includes('refused'));
  for (const { id, event, number } of vetoed) {
    if (CALLBACKS[event].some(has(id, event)))
      problems.push(`performed though the run was rejected: "${event}" ${number}, ${id}`);
  }
  for (const { id, event, number, notes } of runs.values()) {
    const from = storedFrom(notes);
    const begins = CALLBACKS[event].flatMap((callback) => performed.get(`${callback} ${id}`)?.begins ?? []);
    if (begins.some(({ at }) => at < from))
      problems.push(`performed though its storing had failed: "${event}" ${number}, ${id}`);
  }
  for (const { id, header = 'none' } of stored) {
    const begins = CALLBACKS[runs.get(id).event].flatMap(
      (callback) => performed.get(`${callback} ${id}`)?.begins ?? [],
    );
    const wrong = begins.find((begin) => begin.header !== undefined && begin.header !== header);
    if (wrong) problems.push(`another header than ${header}: ${wrong.header}, attempt ${wrong.attempt} of ${id}`);
  }
  for (const key of dead) {
    const { callback, number } = performed.get(key) ?? {};
    if (callback !== 'Doomed.go' || number % 50 !== 0) problems.push(`dead without reason: ${key}`);
  }
  if (open.length > 0) problems.push(`${open.length} deliveries are open still`);

  const exact = stored.filter(({ event }) => event === 'exact');
  for (const { id } of exact) {
    const times = effects.get(id) ?? 0;
    if (times !== 1) problems.push(`an effect that must be there exactly once is there ${times} times: ${id}`);
  }
  for (const [id, times] of effects) if (times > 1) problems.push(`an effect is there ${times} times: ${id}`);

  problems.push(...begunWhilePaused([...performed.values()], windows, outages, heeds));
  problems.push(...disorder([...performed.values()].filter(({ callback }) => callback === 'Ordered.go')));

  const repeated = [...performed.values()].filter(({ dones }) => dones.length > 1);
  const recoveries = recoveriesOf([...performed.values()], kills, outages, windows);
  for (const { key, ms, latestMs } of recoveries.filter(({ ms, latestMs }) => ms > latestMs))
    problems.push(
      `late: ${key} of a killed instance began again after ${seconds(ms)}, and ${seconds(latestMs)} are promised`,
    );
  const count = (what) => [...runs.values()].filter(({ states }) => states.includes(what)).length;
  return {
    problems,
    figures: {
      'runs acknowledged': stored.length,
      'runs rejected': vetoed.length,
      'runs whose storing failed at first': count('EVENTS_STORE_FAILED'),
      'runs whose storing was unknown at first': count('EVENTS_STORE_UNKNOWN'),
      'deliveries performed': [...performed.values()].filter(({ dones }) => dones.length > 0).length,
      'performed more than once': repeated.length,
      'of those with an exactly-once effect': repeated.filter(({ callback }) => callback === 'Exact.go').length,
      pauses: `${windows.length}, ${seconds(windows.reduce((sum, { from, to }) => sum + to - from, 0))} in all`,
      'dead, as they should be': dead.size,
      'keys kept in order': new Set([...performed.values()].flatMap(({ key }) => key ?? [])).size,
      'begun again after a kill': `${recoveries.length}, within ${seconds(Math.max(0, ...recoveries.map(({ ms }) => ms)))}, outages not counted`,
    },
  };
}

/** From when a run may have been stored: the begin of the first try of which its own error does not say that it was not. */
function storedFrom(notes) {
  const tries = notes.flatMap((note, index) =>
    note.what === 'try' ? [{ at: note.at, end: notes[index + 1]?.what }] : [],
  );
  return tries.find(({ end }) => end !== 'EVENTS_STORE_FAILED')?.at ?? Infinity;
}

const seconds = (ms) => `${(ms / 1_000).toFixed(1)} s`;

/** Of each key, whatever is done of one delivery is done before the next begins. */
function disorder(attempts) {
  const problems = [];
  const byKey = Map.groupBy?.(attempts, ({ key }) => key) ?? groupBy(attempts, ({ key }) => key);
  for (const [key, ofKey] of byKey) {
    const inOrder = ofKey.toSorted((a, b) => a.number - b.number);
    inOrder.forEach((one, index) => {
      const next = inOrder[index + 1];
      if (!next) return;
      const lastDone = Math.max(...one.dones.map(({ at }) => at));
      const nextBegin = Math.min(...next.begins.map(({ at }) => at));
      if (!(lastDone <= nextBegin))
        problems.push(`out of order: of "${key}", ${next.number} began before ${one.number} was done`);
    });
  }
  return problems;
}

function groupBy(items, keyOf) {
  const groups = new Map();
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return groups;
}

/** How long it took from the kill of an instance until what it was performing was begun again, and how long it may take. */
function recoveriesOf(performed, kills, outages, windows) {
  const deaths = kills.filter((kill) => hadDuty(kill, kills));
  return performed.flatMap(({ begins, dones, callback, id }) =>
    begins.flatMap((begin) => {
      const kill = kills.find(({ instance, at }) => instance === begin.instance && at > begin.at);
      const isUnfinished =
        kill && !dones.some(({ attempt, instance }) => attempt === begin.attempt && instance === begin.instance);
      // Where an attempt lies between, an outage has swallowed the reply to a claim: that waited once more.
      const next = isUnfinished && begins.find(({ at, attempt }) => at > kill.at && attempt === begin.attempt + 1);
      if (!next || begins.some(({ at }) => at > begin.at && at < kill.at)) return [];
      const paused = windows.flatMap((one) => (one.callback === callback ? [[one.askedAt, one.endedAt]] : []));
      const away = within([...outages, ...paused], kill.at, next.at);
      const vain = deaths.filter(({ at }) => at > kill.at + LEASE_MS - DUTY_MS && at < next.at);
      const latestMs = LATEST_MS + Math.max(0, vain.length - 1) * DUTY_MS;
      return [{ key: `${callback} of ${id}`, ms: next.at - kill.at - away, latestMs }];
    }),
  );
}

/** How much of some times lies between two moments. */
const within = (times, begin, end) =>
  times.reduce((sum, [from, to]) => sum + Math.max(0, Math.min(to, end) - Math.max(from, begin)), 0);

/** What has begun of a paused callback a second after that was acknowledged, or later, and before it was to go on. */
function begunWhilePaused(performed, windows, outages, heeds) {
  return windows.flatMap(({ callback, from, to }) =>
    performed
      .filter((one) => one.callback === callback)
      .flatMap(({ begins, id }) => begins.map((begin) => ({ ...begin, id })))
      .filter(({ at, instance }) => at < to && at > from + HEEDED_MS + within(outages, from, at) && heeds(instance))
      .map(({ id, at }) => `begun though ${callback} was paused: ${id}, after ${seconds(at - from)}`),
  );
}

/** Whether a killed instance had been there for longest, by its own clock. Then it had the duty, or would have had it next. */
const hadDuty = (kill, kills) => kills.every((other) => other.bornAt >= kill.bornAt || other.at < kill.at);
