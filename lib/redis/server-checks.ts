import type { Redis } from 'ioredis';
import type { EngineHost } from '../engine/index.js';
import type { Connections } from './connections.js';

/** How far a clock may be off before somebody is told, in milliseconds. */
const CLOCKS_DIFFER_MS = 1_000;

/** Whether Redis has refused a command because this user may not use it. */
export const isForbidden = (error: unknown): boolean =>
  (error as Error | undefined)?.message?.startsWith('NOPERM') === true;

/** Refuses a server that cannot work, and warns of settings that durable deliveries do not survive. */
export async function checkServer(
  { servers, isCluster }: Connections,
  prefix: string,
  host: EngineHost,
): Promise<void> {
  if (isCluster && !/^[^{]*\{[^}]+\}/.test(prefix)) {
    throw new Error(
      `the prefix "${prefix}" has no hash tag, and a Redis Cluster would spread the keys of one delivery over several nodes. ` +
        `Write it as "{${prefix}}".`,
    );
  }
  const found = new Set<string>();
  for (const server of servers) {
    for (const warning of [...(await settingsOf(server)), ...(await clockOf(server))]) found.add(warning);
  }
  for (const warning of found) host.warn(warning);
}

async function settingsOf(server: Redis): Promise<string[]> {
  try {
    return warningsOf(await server.info());
  } catch (error) {
    if (!isForbidden(error)) throw error;
    return [
      'This Redis user may not ask for INFO, so nobody has checked that maxmemory-policy is noeviction, that appendonly is yes, and ' +
        'that the version is 6.2 or newer. Allow +info, or see to it.',
    ];
  }
}

/** The times at which deliveries are due are those of the instances' clocks, each of which may be another machine's. */
async function clockOf(server: Redis): Promise<string[]> {
  const askedAt = Date.now();
  const [seconds, micros] = await server.time().catch((error: unknown) => {
    if (isForbidden(error)) return [];
    throw error;
  });
  if (seconds === undefined) return [];
  const itsTime = Number(seconds) * 1_000 + Number(micros) / 1_000;
  const aheadMs = (askedAt + Date.now()) / 2 - itsTime;
  if (Math.abs(aheadMs) < CLOCKS_DIFFER_MS) return [];
  const [how, when] = aheadMs > 0 ? ['ahead of', 'early'] : ['behind', 'late'];
  return [
    `The clock of this machine is ${(Math.abs(aheadMs) / 1_000).toFixed(1)} s ${how} that of Redis: delays and retries that this instance ` +
      `looks after end up to so much too ${when}. Have both set by NTP, and start again.`,
  ];
}

function warningsOf(info: string): string[] {
  const value = (name: string) => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1];
  const warnings: string[] = [];
  const policy = value('maxmemory_policy');
  if (policy && policy !== 'noeviction') {
    warnings.push(
      `Redis removes keys when its memory is full (maxmemory-policy ${policy}), deliveries included. Set it to noeviction.`,
    );
  }
  if (value('aof_enabled') === '0') {
    warnings.push(
      'Redis writes no append-only file (appendonly no): when it is restarted, deliveries of the last minutes, or all, are lost. ' +
        'Set appendonly to yes.',
    );
  }
  const version = value('redis_version');
  if (version && Number.parseFloat(version) < 6.2)
    warnings.push(`Redis ${version} is older than 6.2, which BullMQ asks for.`);
  return warnings;
}
