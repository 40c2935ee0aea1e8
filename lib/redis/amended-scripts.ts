import type { Client } from './connections.js';
import { DISCARDED, PASS_DISCARDED } from './discarded.js';
import { HAND_OUT_WITHIN, handingOutWithin } from './hand-out-within.js';

/** The answer of {@link Queue.moveToActive} has this in place of the next time, where it has handed out the last job. */
export const NO_MORE = -1;

/** Amends one of BullMQ's scripts. */
type Amend = (lua: string) => string;

const AMENDED = '-- amended by nestjs-callbacks';

/** The keys of a queue, as the scripts that hand out jobs get them, and what they do where there is nothing to hand out. */
interface HandingOut {
  readonly prioritized: number;
  readonly marker: number;
  /** Says whether this call is to hand out a job. */
  readonly isAsked: string;
  /** Has it hand out none. */
  readonly refuse: string;
}

/**
 * Has BullMQ's scripts hand out no job that was discarded, and call another instance only if there is more to hand out. By
 * themselves they put a marker beside the queue with each job that they hand out, and for each delivery two instances would
 * look in vain.
 */
const handingOut =
  ({ prioritized, marker, isAsked, refuse }: HandingOut): Amend =>
  (lua) => `
    ${PASS_DISCARDED}
    if ${isAsked} and not passDiscarded(KEYS[1], ${keyBeside('KEYS[1]', 'wait')}) then
      redis.call('zadd', KEYS[${marker}], 0, '0')
      ${refuse}
    end
    local answer = (function() ${lua}
    end)()
    if type(answer) == 'table' and redis.call('exists', KEYS[1], KEYS[${prioritized}]) == 0 then
      redis.call('zrem', KEYS[${marker}], '0')
      if type(answer[1]) == 'table' then answer[4] = ${NO_MORE} end
    end
    return answer`;

/**
 * Has a script that adds a job look whether its id was discarded, and still lies in the list: it must not lie there twice. It only
 * reads where that is not so: a script that has written is not refused any more when the memory is full.
 */
const adding: Amend = (lua) => `
  local queue = string.match(KEYS[1], '^.*:')
  if redis.call('exists', queue .. '${DISCARDED}') == 1 then
    local id = cmsgpack.unpack(ARGV[1])[2]
    if redis.call('sismember', queue .. '${DISCARDED}', id or '') == 1 then
      redis.call('srem', queue .. '${DISCARDED}', id)
      redis.call('lrem', queue .. 'wait', -1, id)
    end
  end
  return (function() ${lua}
  end)()`;

/** The name of the script that adds several jobs. */
export const ADD_SEVERAL = 'nestjs-callbacks:addSeveral';

/**
 * Adds several jobs by the scripts that add one. For each the arguments say which, how many keys it takes and how many values, and
 * then come the values. Answers for each with the reason why it was not added, or with nothing.
 */
const addingSeveral = (scripts: ReadonlyMap<string, string>) => `
  local scripts = {}
  ${[...scripts].map(([name, lua]) => `scripts['${name}'] = function(KEYS, ARGV) ${lua}\n end`).join('\n')}
  local reasons = {}
  local key, at = 1, 1
  while at <= #ARGV do
    local add, keys, values = scripts[ARGV[at]], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
    local isDone, answer = pcall(add, {unpack(KEYS, key, key + keys - 1)}, {unpack(ARGV, at + 3, at + 2 + values)})
    local reason = ''
    if not isDone then
      reason = type(answer) == 'table' and answer.err or tostring(answer)
    elseif type(answer) == 'number' and answer < 0 then
      reason = 'ERR BullMQ answered ' .. answer
    end
    table.insert(reasons, reason)
    key, at = key + keys, at + 3 + values
  end
  return reasons`;

const AMENDS: Record<string, Amend> = {
  moveToActive: handingOut({ prioritized: 3, marker: 11, isAsked: 'true', refuse: 'return {0, 0, 0, 0}' }),
  moveToFinished: handingOut({ prioritized: 3, marker: 14, isAsked: `ARGV[6] == '1'`, refuse: `ARGV[6] = '0'` }),
  addStandardJob: adding,
  addDelayedJob: adding,
  addPrioritizedJob: adding,
};

/** Amends BullMQ's scripts on a connection, and makes two beside them: one adds several jobs, one hands out a job within limits. */
export function amendScripts(client: Client): void {
  const scripts = client.scriptsSet as Record<string, { lua: string; numberOfKeys: number }>;
  const adders = new Map<string, string>();
  for (const [name, { lua, numberOfKeys }] of Object.entries(scripts)) {
    const amend = AMENDS[name.split(':')[0]];
    if (!amend || lua.includes(AMENDED)) continue;
    const amended = amend(lua);
    client.defineCommand(name, { numberOfKeys, lua: `${AMENDED}\n${amended}` });
    if (amend === adding) adders.set(name, amended);
    if (amend === AMENDS.moveToActive) client.defineCommand(HAND_OUT_WITHIN, { lua: handingOutWithin(amended) });
  }
  if (adders.size > 0) client.defineCommand(ADD_SEVERAL, { lua: addingSeveral(adders) });
}

function keyBeside(key: string, name: string): string {
  return `string.sub(${key}, 1, -${name.length + 1}) .. '${DISCARDED}'`;
}
