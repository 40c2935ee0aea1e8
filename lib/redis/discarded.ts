/**
 * The key, beside a queue, of the set of what was discarded while its id lay in the list of what waits. The id stays there until
 * it is the next: to find it in a long list would take long.
 */
export const DISCARDED = 'discarded';

/** How many one script passes over. */
const AT_ONCE = 1_000;

/**
 * A function of scripts: passes over what was discarded, up to the next job that waits. Answers whether it has come that far.
 * Where nothing waits, nothing that was discarded is left.
 */
export const PASS_DISCARDED = `
  local function passDiscarded(wait, discarded)
    if redis.call('exists', discarded) == 0 then return true end
    for _ = 1, ${AT_ONCE} do
      local id = redis.call('lindex', wait, -1)
      if not id then
        redis.call('del', discarded)
        return true
      end
      if redis.call('srem', discarded, id) == 0 then return true end
      redis.call('rpop', wait)
    end
    return redis.call('sismember', discarded, redis.call('lindex', wait, -1) or '') == 0
  end`;
