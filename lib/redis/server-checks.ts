import type { EngineHost } from '../engine/index.js';
import type { Connections } from './connections.js';

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
  for (const server of servers) for (const warning of warningsOf(await server.info())) found.add(warning);
  for (const warning of found) host.warn(warning);
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
