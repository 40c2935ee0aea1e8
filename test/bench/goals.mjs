// What the bench must show, as ratios within one run. A goal missed by more than the tolerance fails the command.
import { CQRS, EMITTER, PEERS, RUN } from './peers.mjs';

export const TOLERANCE = 0.15;

const RESOLVED = 'resolved at once';
const SYNCHRONOUS = 'synchronous';
const ASYNCHRONOUS = 'really asynchronous';
const EMIT = `${EMITTER} emitAsync()`;

/**
 * Every goal with what was measured: `value` must not be above `limit`. `of` says which section of the plan it is
 * measured by; `isOfTime`, that other work on the machine changes the value.
 */
export function goals(sections) {
  const one = (section, about) =>
    sections[section].find((row) => Object.entries(about).every(([key, value]) => row[key] === value));
  const run = (kind, name = RUN, count = 3) => one('dispatch', { kind, count, name });
  const against = (kind, peer) => run(kind).ns / run(kind, peer).ns;
  const three = (kind) => `dispatch ${kind} 3`;
  const isNewer = Number(process.versions.node.split('.')[0]) >= 24;
  const serial = PEERS.filter(({ name, awaits, ordered }) => awaits && ordered && /emit|hook/.test(name));
  const rivals = sections.dispatch
    .filter(({ name }) => serial.some((peer) => peer.name === name))
    .map(({ kind, count, ns }) => ({ of: `dispatch ${kind} ${count}`, value: run(kind, RUN, count).ns / ns }));
  const worst = rivals.toSorted((one, other) => other.value - one.value)[0];

  return [
    goal(
      '3 callbacks resolved at once, against the helper',
      three(RESOLVED),
      run(RESOLVED).ratio,
      isNewer ? 1.15 : 1.35,
    ),
    goal('3 synchronous callbacks, against the helper', three(SYNCHRONOUS), run(SYNCHRONOUS).ratio, 0.95),
    goal('3 really asynchronous callbacks, against the helper', three(ASYNCHRONOUS), run(ASYNCHRONOUS).ratio, 1.2),
    goal(`3 resolved at once, against ${EMIT}`, three(RESOLVED), against(RESOLVED, EMIT), 1 / 2.5),
    goal(`3 synchronous, against ${EMIT}`, three(SYNCHRONOUS), against(SYNCHRONOUS, EMIT), 1 / 5),
    goal(`3 really asynchronous, against ${EMIT}`, three(ASYNCHRONOUS), against(ASYNCHRONOUS, EMIT), 1 / 1.8),
    goal(`3 resolved at once, against ${CQRS}`, three(RESOLVED), against(RESOLVED, CQRS), 1 / 20),
    goal(`3 really asynchronous, against ${CQRS}`, three(ASYNCHRONOUS), against(ASYNCHRONOUS, CQRS), 1 / 9),
    goal('the worst case against a peer that awaits and keeps order', worst.of, worst.value, 1),
    ...sections.additions
      .filter(({ name }) => name.startsWith('beside') || name.startsWith('with'))
      .map(({ name, ratio }) => goal(`a run ${name}, against one alone`, 'additions', ratio, 1.05)),
    ...sections.telemetry
      .filter(({ name, base }) => name !== base)
      .map(({ kind, ratio }) =>
        goal(`3 ${kind}, with EventsTelemetryModule and no SDK, against without`, 'telemetry', ratio, 2),
      ),
    goal(`3 request-scoped callbacks, against ${EMIT}`, 'scoped', one('scoped', { name: RUN }).ratio, 1 / 5),
    goal(
      'boot of 1,000 providers, against the emitter',
      'boot',
      one('boot', { name: 'nestjs-callbacks', count: 1_000 }).ratio,
      // It looks at the methods of every class, for those that a mixin has copied: 0.5 µs each.
      0.2,
    ),
    ...sections.growth.map(({ name, bytes, count }) =>
      goal(`KiB left by ${count} ${name} runs`, 'growth', bytes / 1024, 512),
    ),
    goal('background work beyond its bound: MiB kept', 'background', sections.background.at(-1).bytes / 2 ** 20, 16),
  ];
}

const goal = (what, of, value, limit) => ({
  what,
  of,
  isOfTime: !['growth', 'background'].includes(of),
  value,
  limit,
  isMet: value <= limit,
  isMissed: value > limit * (1 + TOLERANCE),
});
