import { PARTS } from '../engine/index.js';

/** The name of the script that hands out a job within limits. */
export const HAND_OUT_WITHIN = 'nestjs-callbacks:moveToActiveWithinLimits';

/** In place of how long it is until a rate lets the next begin: others have all places. */
export const NO_PLACE = -1;
/** Answers if the limits hold up a job that waits. */
const HOLD_UP = `
  local limit, perMs, slackMs, running = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
  local function waits()
    if redis.call('exists', KEYS[1], KEYS[3]) > 0 then return true end
    local first = redis.call('zrange', KEYS[7], 0, 0, 'withscores')[2]
    return first and tonumber(first) < (tonumber(ARGV[2]) + 1) * 0x1000
  end
  if running then
    local active = 0
    for at = 13, #KEYS do active = active + redis.call('llen', KEYS[at]) end
    if active >= running and waits() then return { 0, 0, 0, 0, ${NO_PLACE} } end
  end
  local now, permits
  if limit then
    local time = redis.call('time')
    now = time[1] * 1000 + math.floor(time[2] / 1000)
    local kept = redis.call('get', KEYS[12])
    kept = kept and cmsgpack.unpack(kept) or { now }
    permits = { now }
    local free, first = limit, nil
    -- A clock that was set back tells nothing of how much time has passed: as if none had.
    local ahead = math.max(0, kept[1] - now)
    for at = 2, #kept, 2 do
      local till = kept[at] - ahead
      if till >= now - perMs then
        table.insert(permits, till)
        table.insert(permits, kept[at + 1])
        free = free - kept[at + 1]
        first = math.min(first or till, till)
      end
    end
    if free <= 0 and waits() then return { 0, 0, 0, 0, math.max(1, first + perMs - now + 1) } end
  end`;

/**
 * Hands out a job as BullMQ does, within limits. The keys are BullMQ's, that of the permits, and the lists of what runs in all queues
 * of the callback. The arguments are the prefix of the queue's keys, the time, the token and the duration of the lock, and the limits.
 * Where these hold up a job, it answers with how long it is until the rate lets it begin, at the fifth place.
 */
export const handingOutWithin = (lua: string) => `${HOLD_UP}
  local answer = (function(KEYS, ARGV) ${lua}
  end)(KEYS, { ARGV[1], ARGV[2], cmsgpack.pack({ token = ARGV[3], lockDuration = tonumber(ARGV[4]) }) })
  if limit and type(answer) == 'table' and type(answer[1]) == 'table' then
    local till, part = now + slackMs, nil
    local function partOf(time) return math.floor(time * ${PARTS} / perMs) end
    for at = 2, #permits, 2 do if partOf(permits[at]) == partOf(till) then part = at end end
    if part then
      permits[part], permits[part + 1] = math.max(permits[part], till), permits[part + 1] + 1
    else
      table.insert(permits, till)
      table.insert(permits, 1)
    end
    redis.call('set', KEYS[12], cmsgpack.pack(permits), 'px', perMs + slackMs + 1000)
  end
  return answer`;
