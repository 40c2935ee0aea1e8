// What the measurements share: processor time, goals, and how both are printed.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { isQuick } from './application.mjs';

/**
 * Milliseconds that a process has been on a processor. Linux tells it of every process, in nanoseconds, as the first field of
 * `/proc/<pid>/schedstat`; utime and stime of `stat` are the same in steps of 10 ms.
 */
function cpuMs(pid) {
  try {
    return Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[0]) / 1e6;
  } catch {
    return undefined;
  }
}

/** Whether we see the processes of the servers. If not, time that passes stands for processor time. */
export const seesServers = (pids) => pids.some((pid) => cpuMs(pid) !== undefined);

/** Begins to measure these processes, also those that begin later. Answers with a function that tells the milliseconds. */
export function measureCpu(pids) {
  const startedAt = performance.now();
  const before = new Map(pids().map((pid) => [pid, cpuMs(pid) ?? 0]));
  return () => {
    if (!seesServers(pids())) return performance.now() - startedAt;
    return pids().reduce((sum, pid) => sum + (cpuMs(pid) ?? 0) - (before.get(pid) ?? 0), 0);
  };
}

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc');

/** Per cent of a processor core that servers and this process take, while nothing happens; with what is done once a minute. */
export async function measureIdle(pids, forMs = isQuick ? 6_000 : 60_000) {
  // What a start leaves behind is collected later, a little at a time, which would cost more than what is measured.
  for (let times = 0; times < 4; times++) {
    await sleep(2_000);
    collectGarbage();
  }
  await sleep(8_000);
  const ofServers = measureCpu(pids);
  const before = process.cpuUsage();
  const startedAt = performance.now();
  await sleep(forMs);
  const passed = performance.now() - startedAt;
  const { user, system } = process.cpuUsage(before);
  return { server: (ofServers() / passed) * 100, client: ((user + system) / 1_000 / passed) * 100 };
}

export async function timed(work) {
  const startedAt = performance.now();
  const value = await work();
  return { value, ms: performance.now() - startedAt };
}

const goals = [];

/** Notes a figure, and whether it is at most what is wanted. */
export function goal(what, found, most, unit) {
  goals.push({ what, found, most, unit });
  show(what, found, unit);
}

export function show(what, found, unit) {
  const text = found.toFixed(found < 10 ? 2 : 0);
  console.log(`  ${what.padEnd(64)} ${text.padStart(8)} ${unit}`);
}

export function printGoals() {
  console.log('\nGoals');
  for (const { what, found, most, unit } of goals) {
    const isMet = found <= most;
    if (!isMet) process.exitCode = 1;
    console.log(`  ${isMet ? 'met   ' : 'MISSED'} ${what}: ${found.toFixed(2)} ${unit} (at most ${most})`);
  }
}
