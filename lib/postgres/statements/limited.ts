import { PARTS, SPARED_OFTEN } from '../../engine/index.js';
import { claimed, due } from './claim.js';
import { procedureFor, type SqlFunction } from './functions.js';
import { groupOf, WAITS_IN_GROUP } from './groups.js';
import type { Tables } from './tables.js';

/** The limits of a callback, as the statement that claims within them takes them, in JSON. */
export interface ClaimLimits {
  /** The name under which all instances keep them, whatever queue of the callback's each claims in. */
  readonly name: string;
  /** All queues in which something of the callback may run. */
  readonly queues: readonly string[];
  readonly rate?: { readonly limit: number; readonly perMs: number; readonly slackMs: number };
  readonly running?: number;
  readonly groups?: { readonly by: string; readonly running: number };
}

/** Why a claim within limits has got less than it has asked for: what holds more up that waits. */
export type HeldUpBy = 'rate' | 'running' | 'group' | 'steps';

/** The functions that claim without limits, as SQL that calls them. */
export interface ClaimFunctions {
  readonly claim: SqlFunction;
  readonly claimInOrder: SqlFunction;
  readonly claimSuspect: SqlFunction;
}

/** How many groups one claim looks at, of those in which nothing may begin. */
const MOST_STEPS = 200;
/** How many deliveries each claim looks at that may have been stored without their group. */
const UNGROUPED_AT_ONCE = 100;

export const LIMITED_CLAIM = {
  takes: 'text, int, uuid, int, text, text, text[], text, boolean',
  returns: `id uuid, "retryCount" int, spared int, "postponedMs" float8, data jsonb, "lastKey" text, "isEnd" boolean, "isFull" boolean,
      "heldUpBy" text, "againInMs" float8`,
};

/**
 * Claims in queue `$1`, at most `$2`, by token `$3`, for `$4` seconds, within the limits `$5`. `$6` says what: what is `due`, what
 * is next of its key (`in order`: then `$7` to `$9` are as `claimInOrder` takes them), or a `suspect` (then `$9` says whether it
 * will be alone). Answers as those statements do, and in a row without an id with what holds up more that waits, and with
 * how long it is until a rate lets that begin.
 *
 * Claims of one callback come one after another, over all instances, by the lock on its row. Each statement in here sees what was
 * there when it begins, so it sees what the claim before has claimed.
 */
export function limitedClaim(schema: string, tables: Tables, { claim, claimInOrder, claimSuspect }: ClaimFunctions) {
  const block = `
declare${variables(tables)}
begin${room(tables)}
  if _room > 0 and _groups is not null and $6 = 'due' then${walk(tables)}
  elsif _room > 0 and _groups is not null and $6 = 'suspect' then${suspectsOfGroups(tables)}
  elsif _room > 0 and $6 = 'due' then${answer(withoutPlace(`${claim.name}($1, _room, $3, $4)`))}
  elsif _room > 0 and $6 = 'suspect' then${answer(withoutPlace(`${claimSuspect.name}($1, _room, $3, $4, $9)`))}
  elsif _room > 0 then${answer(`select * from ${claimInOrder.name}($1, _room, $3, $4, $7, $8, $9)`)}
  end if;${spend(tables)}${heldUp(tables)}
end`;
  return procedureFor(schema, 'limitedClaim', block, LIMITED_CLAIM);
}

const variables = ({ limit }: Tables) => `
  _limits jsonb := $5::jsonb;
  _rate jsonb := _limits -> 'rate';
  _perMs bigint := (_rate ->> 'perMs')::bigint;
  _groups jsonb := _limits -> 'groups';
  _mostOfGroup int := (_groups ->> 'running')::int;
  _queues text[] := array(select jsonb_array_elements_text(_limits -> 'queues'));
  _kept ${limit}%rowtype;
  _now bigint;
  _until bigint;
  _part int;
  _room int := $2;
  _claimed int := 0;
  _held text;
  _again float8;
  _free int;
  _steps int := 0;
  _place text;
  _group text;
  _last text;
  _isAround boolean := false;
  _isGroupFull boolean := false;
  _spots tid[] := '{}';
  _some tid[];`;

const isRunning = ({ job }: Tables, more = '') => `${job} where name = any(_queues) and state = 'active'${more}`;

const waits = ({ job }: Tables, state: string, blocked = 'not blocked') => `exists (
      select from ${job} where name = $1 and state = '${state}' and ${blocked} and start_after <= now() limit 1)`;

/** Answers with what was claimed, and counts it. */
const answer = (claiming: string) => `
    for id, "retryCount", spared, "postponedMs", data, "lastKey", "isEnd", "isFull" in ${claiming}
    loop
      if id is not null then _claimed := _claimed + 1; end if;
      return next;
    end loop;`;

const withoutPlace = (claimed: string) =>
  `select id, "retryCount", spared, "postponedMs", data, null, null, null from ${claimed}`;

/**
 * Waits until the claims before are through, and finds how much room the rate and what runs leave: none where the callback is
 * paused.
 */
const room = (tables: Tables) => `
  loop
    select * into _kept from ${tables.limit} where name = _limits ->> 'name' for update;
    exit when found;
    insert into ${tables.limit} (name) values (_limits ->> 'name') on conflict do nothing;
  end loop;
  if _rate is not null then
    _now := floor(extract(epoch from clock_timestamp()) * 1000);
    -- A clock that was set back tells nothing of how much time has passed: as if none had.
    if _kept.last_at > _now then
      _kept.untils := array(select until - (_kept.last_at - _now)
        from unnest(_kept.untils) with ordinality as it(until, place) order by place);
    end if;
    select coalesce(array_agg(until), '{}'), coalesce(array_agg(count), '{}'), (_rate ->> 'limit')::int - coalesce(sum(count), 0)
      into _kept.untils, _kept.counts, _free
      from unnest(_kept.untils, _kept.counts) as it(until, count) where until >= _now - _perMs;
    if _free < _room then
      _held := 'rate';
      _room := _free;
    end if;
  end if;
  if _limits -> 'running' is not null then
    select (_limits ->> 'running')::int - count(*) into _free
      from (select from ${isRunning(tables)} limit (_limits ->> 'running')::int) as counted;
    if _free < _room then
      _held := 'running';
      _room := _free;
    end if;
  end if;
  if exists (select from ${tables.paused} where queue = $1) then
    _held := null;
    _room := 0;
  end if;`;

/** Finds out of what group that is which was stored without, by who does not know of groups, if it is among the next. */
const assignNext = ({ job }: Tables) => `
    update ${job} set group_id = ${groupOf(`(_groups ->> 'by')`)}
      where state in ('created', 'retry') and group_id is null and ctid = any(array(${['created', 'retry']
        .map(
          (state) => `
        select spot from (
          select ctid as spot, group_id as "group" from ${job}
          where name = $1 and state = '${state}' and not blocked and start_after <= now()
          order by start_after limit ${UNGROUPED_AT_ONCE} for update skip locked
        ) as first where "group" is null`,
        )
        .join(' union all ')}));`;

/** Goes from group to group, from the one after the last that had its turn, around to that. */
const walk = (tables: Tables) => `${assignNext(tables)}
    _place := coalesce(_kept.last_group, '');
    loop
      select group_id into _group from ${tables.job}
        where name = $1 and group_id > _place and ${WAITS_IN_GROUP} order by group_id limit 1;
      if not found then
        exit when _isAround or _place = '';
        _isAround := true;
        _place := '';
        continue;
      end if;
      exit when _isAround and _group > _kept.last_group;
      _place := _group;
      select _mostOfGroup - count(*) into _free from (
        select from ${isRunning(tables, ' and group_id = _group and group_id is not null')} limit _mostOfGroup) as counted;
      _some := '{}';
      if _free > 0 then
        _some := array(select ctid from ${tables.job}
          where name = $1 and group_id = _group and ${WAITS_IN_GROUP} and start_after <= now()
          order by start_after limit least(_free, _room - cardinality(_spots)) for update skip locked);
        _spots := _spots || _some;
        if cardinality(_some) > 0 then _last := _group; end if;
      end if;
      _isGroupFull := _isGroupFull or cardinality(_some) >= _free;
      exit when cardinality(_spots) >= _room;
      _steps := _steps + 1;
      if _steps >= ${MOST_STEPS} then
        _held := 'steps';
        _last := _group;
        exit;
      end if;
    end loop;
    if cardinality(_spots) > 0 then${answer(`
      with claimed as (${claimed(tables, 'select unnest(_spots)')})
      ${withoutPlace('claimed order by "dueOn"')}`)}
    end if;
    if _last is not null then update ${tables.limit} set last_group = _last where name = _kept.name; end if;`;

const suspectsOfGroups = (tables: Tables) => {
  const { job } = tables;
  const mayBegin = `blocked and ($9 or coalesce(source_retry_count, 0) < ${SPARED_OFTEN}) and _mostOfGroup > (
          select count(*) from ${job} as other where other.name = any(_queues) and other.state = 'active'
            and coalesce(other.group_id, '-') = coalesce(${job}.group_id, '-'))`;
  return `${answer(`
      with suspected as (${due(tables, 'retry', mayBegin)}
      ), claimed as (${claimed(tables, 'select spot from suspected')})
      ${withoutPlace('claimed')}`)}
    _isGroupFull := _claimed < _room;`;
};

/** Notes what the rate has let begin. */
const spend = ({ limit }: Tables) => `
  if _rate is not null and _claimed > 0 then
    _until := _now + (_rate ->> 'slackMs')::bigint;
    select place into _part from unnest(_kept.untils) with ordinality as it(until, place)
      where until * ${PARTS} / _perMs = _until * ${PARTS} / _perMs limit 1;
    if _part is null then
      _kept.untils := _kept.untils || _until;
      _kept.counts := _kept.counts || _claimed;
    else
      _kept.untils[_part] := greatest(_kept.untils[_part], _until);
      _kept.counts[_part] := _kept.counts[_part] + _claimed;
    end if;
    update ${limit} set untils = _kept.untils, counts = _kept.counts, last_at = _now where name = _kept.name;
  end if;`;

/** Says what holds up more, if more waits. It may if the claim has got all that there was room for. */
const heldUp = (tables: Tables) => `
  if _held in ('rate', 'running') and _claimed < _room then _held := null; end if;
  if _isGroupFull then _held := coalesce(_held, 'group'); end if;
  if _held is not null and ($6 = 'suspect' and ${waits(tables, 'retry', 'blocked')}
    or $6 <> 'suspect' and (${waits(tables, 'created')} or ${waits(tables, 'retry')})) then
    if _held = 'rate' then
      select greatest(1, min(until) + _perMs - _now + 1) into _again from unnest(_kept.untils) as it(until);
    end if;
    return query select null::uuid, null::int, null::int, null::float8, null::jsonb, null::text, null::boolean, null::boolean, _held, _again;
  end if;`;
