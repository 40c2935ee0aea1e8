import {
  cursorOf,
  type Delivery,
  type DeliveryAddress,
  type DeliveryCounts,
  type DeliveryFilter,
  type DeliveryPage,
  type DeliveryQuery,
  type DurableCallback,
  type KeptDelivery,
  type KnownAddress,
  SPARED_OFTEN,
  type NewDelivery,
  NoAnswerError,
  CompletionRefusedError,
  readCursor,
  type RetriedPortion,
  type RetryPortion,
  type SqlTransaction,
  type StoredError,
  TransactionRefusedError,
  UnknownOutcomeError,
  within,
} from 'nestjs-callbacks/engine';

/** The part of a PGlite that the engine uses. */
export interface Database extends SqlTransaction {
  exec(sql: string): Promise<unknown>;
  close(): Promise<void>;
}

/** A row as it comes back. */
interface Row extends Omit<Delivery, 'key' | 'givenId' | 'headers'> {
  readonly position: string | number;
  readonly key: string | null;
  readonly given_id: string | null;
  readonly headers: Delivery['headers'] | null;
  readonly state: KeptDelivery['state'];
  readonly attempts: number;
  readonly spared: number;
  readonly is_suspect: boolean;
  readonly stored_at: Date;
  readonly since: Date;
  readonly error: StoredError | null;
}

/** A delivery that an instance has claimed. */
export interface ClaimedRow extends Row {
  /** Names the attempt: nobody else can settle it. */
  readonly claim: string;
}

/** No answer for so long counts as none. */
const ANSWER_MS = 5_000;

/**
 * `position` is the order of storing. `is_begun` says that nothing of the same key may overtake, `has_begun` that the attempt of
 * this claim has begun. Completed deliveries stay as `done` for two weeks, so that their ids are known when they are stored again.
 */
const SCHEMA = `
  create table if not exists deliveries (
    position bigint generated always as identity,
    event text collate "C" not null,
    callback text collate "C" not null,
    id uuid not null,
    key text,
    given_id text,
    headers json,
    arguments json not null,
    state text not null default 'waiting',
    attempts int not null default 0,
    spared int not null default 0,
    is_suspect boolean not null default false,
    is_alone boolean not null default false,
    is_begun boolean not null default false,
    has_begun boolean not null default false,
    stored_at timestamptz not null default now(),
    since timestamptz not null,
    error json,
    claim uuid,
    expires_at timestamptz,
    primary key (event, callback, id)
  );
  create table if not exists addresses (
    event text collate "C" not null,
    callback text collate "C" not null,
    is_ordered boolean not null,
    is_remote boolean not null,
    primary key (event, callback)
  );
  create table if not exists duty (
    is_one boolean primary key default true check (is_one),
    holder uuid not null,
    expires_at timestamptz not null
  );
  create index if not exists deliveries_to_do on deliveries (event, callback, position) where state <> 'done';`;

const FORGET = `delete from deliveries where state = 'done' and since < now() - interval '14 days'`;

/** It is taken from nobody who renews it. */
const TAKE_DUTY = `
  insert into duty (holder, expires_at) values ($1, now() + $2 * interval '1 millisecond')
  on conflict (is_one) do update set holder = excluded.holder, expires_at = excluded.expires_at
    where duty.holder = excluded.holder or duty.expires_at < now()
  returning holder`;

const LEAVE_DUTY = 'delete from duty where holder = $1';

const STORE = `
  insert into deliveries (event, callback, id, given_id, key, headers, arguments, since)
  select event, callback, id, "givenId", key, headers, arguments, now() + "delayMs" * interval '1 millisecond'
  from json_to_recordset($1::json)
    as (event text, callback text, id uuid, "givenId" text, key text, headers json, arguments json, "delayMs" float8)
  on conflict do nothing`;

const ADOPT = `
  update deliveries one set callback = $2
  where event = $1 and callback = any($3) and state in ('waiting', 'dead')
    and not exists (select from deliveries other where (other.event, other.callback, other.id) = ($1, $2, one.id))`;

/**
 * Of each key only the first counts: the one that is running, or else the first that has begun, or else the first that is
 * due. It is claimed if it waits and is due, or if the claim on it has run out. Of suspects only one is claimed, if any. An
 * attempt that ended with its instance is spared, unless its delivery was the only suspect there.
 */
const CLAIM = `
  update deliveries
  set spared = spared + (state = 'running' and has_begun and not (is_suspect and is_alone))::int, is_alone = $7,
    is_suspect = is_suspect or (state = 'running' and has_begun),
    state = 'running', is_begun = true, has_begun = false, claim = gen_random_uuid(), since = now(),
    expires_at = now() + $3 * interval '1 millisecond'
  where position in (
    select position from (
      select *, row_number() over (partition by is_suspected order by position) as nth from (
        select distinct on (lane) * from (
          select *, case when $4 then key else position::text end as lane,
            is_suspect or (state = 'running' and has_begun) as is_suspected
          from deliveries where event = $1 and callback = $2 and state <> 'done'
        ) of_callback
        where is_begun or since <= now()
        order by lane, state = 'running' desc, is_begun desc, position
      ) first_of_lane
      where ((state = 'waiting' and since <= now()) or (state = 'running' and expires_at < now()))
        and (not is_suspected or $7 or spared < ${SPARED_OFTEN})
    ) claimable
    where not is_suspected or ($6 and nth = 1)
    order by position limit $5
  ) returning claim`;

const BEGIN = `
  update deliveries set attempts = attempts + 1, has_begun = true
  where claim = any($1) and state = 'running' returning *`;

const RENEW = `
  update deliveries set expires_at = now() + $2 * interval '1 millisecond' where claim = any($1) returning claim`;

/** One that a transaction has completed is completed still. */
const COMPLETE = `
  update deliveries set state = 'done', arguments = '[]', since = now()
  where claim = $1 and state in ('running', 'done') returning position`;

/** A transaction completes it once. */
const COMPLETE_IN = `
  update deliveries set state = 'done', arguments = '[]', since = now()
  where claim = $1 and state = 'running' returning position`;

const WAIT_AGAIN = `
  update deliveries
  set state = 'waiting', claim = null, is_suspect = false, attempts = attempts - $3::int, error = coalesce($4::json, error),
    since = now() + $2 * interval '1 millisecond'
  where claim = $1 and state = 'running' returning position`;

const BURY = `
  update deliveries set state = 'dead', claim = null, is_suspect = false, since = now(), error = $2
  where claim = $1 and state = 'running' returning position`;

const FITS =
  '($1::text is null or event = $1) and ($2::text is null or callback = $2) and ($3::uuid[] is null or id = any($3))';

const LIST = `
  select * from deliveries
  where ${FITS} and state = $4 and position > $5
  order by position limit $6`;

const COUNTS = `
  select event, callback,
    count(*) filter (where state = 'waiting' and since <= now())::int as waiting,
    count(*) filter (where state = 'waiting' and since > now())::int as delayed,
    count(*) filter (where state = 'running')::int as running,
    count(*) filter (where state = 'dead')::int as dead,
    true as "isExact", min(since) filter (where state = 'waiting' and since <= now()) as "oldestDueAt"
  from deliveries where state <> 'done' group by event, callback`;

const RETRY = `
  update deliveries set state = 'waiting', attempts = 0, spared = 0, since = now()
  where position in (
    select position from deliveries where ${FITS} and state = 'dead' and position > $4 order by position limit $5
  ) returning position`;

const DISCARD = `delete from deliveries where ${FITS} and state in ('waiting', 'dead') returning position`;

const parametersOf = ({ event, callback, ids }: DeliveryFilter) => [event ?? null, callback ?? null, ids ?? null];

/** Deliveries in one plain SQL table: every change is one statement, so it happens or it does not. */
export class Table {
  constructor(
    private readonly database: Database,
    private readonly leaseMs: number,
  ) {}

  async create(): Promise<void> {
    await within(ANSWER_MS, this.database.exec(SCHEMA));
  }

  /** Whether this instance has the duty now. */
  takeDuty = (id: string, forMs: number) => this.changesOne(TAKE_DUTY, [id, forMs]);

  async leaveDuty(id: string): Promise<void> {
    await this.ask(LEAVE_DUTY, [id]);
  }

  async forget(): Promise<void> {
    await this.ask(FORGET, []);
  }

  async store(deliveries: readonly NewDelivery[], transaction?: SqlTransaction): Promise<void> {
    const parameters = [JSON.stringify(deliveries)];
    try {
      await (transaction ? transaction.query(STORE, parameters) : this.ask(STORE, parameters));
    } catch (cause) {
      if (cause instanceof NoAnswerError) throw new UnknownOutcomeError(cause.message, { cause });
      if (transaction && /closed/.test(String(cause))) throw new TransactionRefusedError('over', { cause });
      throw cause;
    }
  }

  /** Writes down that a callback is there. Whoever has it knows best whether it keeps order. */
  async note({ event, callback, isOrdered, isRemote }: DurableCallback): Promise<void> {
    const otherwise = isRemote ? 'nothing' : 'update set is_ordered = excluded.is_ordered, is_remote = false';
    await this.ask(`insert into addresses values ($1, $2, $3, $4) on conflict (event, callback) do ${otherwise}`, [
      event,
      callback,
      isOrdered,
      isRemote ?? false,
    ]);
  }

  async addresses(): Promise<KnownAddress[]> {
    return await this.ask(
      'select event, callback, is_ordered as "isOrdered", is_remote as "isRemote" from addresses',
      [],
    );
  }

  /** Makes what is stored under former ids of a callback its own. */
  async adopt({ event, callback, formerly }: DurableCallback): Promise<void> {
    if (formerly.length > 0) await this.ask(ADOPT, [event, callback, formerly]);
  }

  /**
   * Claims deliveries, at most so many, and writes down that the attempts at them begin.
   *
   * @param suspect is there if one of them may be a suspect, and says whether that is the only one then
   */
  async claim(
    { event, callback, isOrdered }: DurableCallback,
    most: number,
    suspect: { readonly isAlone: boolean } | undefined,
  ) {
    const parameters = [
      event,
      callback,
      this.leaseMs,
      isOrdered,
      most,
      suspect !== undefined,
      suspect?.isAlone ?? false,
    ];
    const claimed = await this.ask<Pick<ClaimedRow, 'claim'>>(CLAIM, parameters);
    if (claimed.length === 0) return [];
    return this.ask<ClaimedRow>(BEGIN, [claimed.map(({ claim }) => claim)]);
  }

  /** Whether each of these is claimed still. */
  async renew(rows: readonly ClaimedRow[]): Promise<boolean[]> {
    const renewed = await this.ask<ClaimedRow>(RENEW, [rows.map(({ claim }) => claim), this.leaseMs]);
    const claims = new Set(renewed.map(({ claim }) => claim));
    return rows.map(({ claim }) => claims.has(claim));
  }

  complete = ({ claim }: ClaimedRow) => this.changesOne(COMPLETE, [claim]);

  async completeIn({ claim }: ClaimedRow, transaction: SqlTransaction): Promise<void> {
    const { rows } = await transaction.query(COMPLETE_IN, [claim]);
    if (rows.length === 0) throw new CompletionRefusedError('lost');
  }

  retryIn = ({ claim }: ClaimedRow, ms: number, error: StoredError) =>
    this.changesOne(WAIT_AGAIN, [claim, ms, 0, JSON.stringify(error)]);

  release = ({ claim }: ClaimedRow) => this.changesOne(WAIT_AGAIN, [claim, 0, 1, null]);

  bury = ({ claim }: ClaimedRow, error: StoredError) => this.changesOne(BURY, [claim, JSON.stringify(error)]);

  async counts(): Promise<DeliveryCounts[]> {
    const rows = await this.ask<DeliveryCounts>(COUNTS, []);
    return rows.map(({ oldestDueAt, ...counts }) => ({ ...counts, ...(oldestDueAt && { oldestDueAt }) }));
  }

  async list({ state, limit, after, ...filter }: DeliveryQuery): Promise<DeliveryPage> {
    const rows = await this.ask<Row>(LIST, [...parametersOf(filter), state, positionOf(state, after), limit]);
    const last = rows.length === limit ? rows.at(-1) : undefined;
    const goOn = last && { after: cursorOf(state, String(last.position)) };
    return { found: rows.map(keptOf), scanned: rows.length, ...goOn };
  }

  async retry(filter: DeliveryFilter, { limit, after }: RetryPortion): Promise<RetriedPortion> {
    const parameters = [...parametersOf(filter), positionOf('dead', after), limit];
    const positions = (await this.ask<Row>(RETRY, parameters)).map(({ position }) => Number(position));
    const isLast = positions.length < limit;
    return { count: positions.length, ...(!isLast && { after: cursorOf('dead', String(Math.max(...positions))) }) };
  }

  discard = async (filter: DeliveryFilter) => (await this.ask(DISCARD, parametersOf(filter))).length;

  private changesOne = async (sql: string, parameters: unknown[]) => (await this.ask(sql, parameters)).length === 1;

  private async ask<Found>(sql: string, parameters: unknown[]): Promise<Found[]> {
    const { rows } = await within(ANSWER_MS, this.database.query(sql, parameters));
    return rows as Found[];
  }
}

const positionOf = (state: KeptDelivery['state'], after: string | undefined) =>
  after === undefined ? '0' : readCursor(after, state, [/^\d{1,18}$/])[0];

const addressOfRow = ({ event, callback }: DeliveryAddress): DeliveryAddress => ({ event, callback });

export const deliveryOf = (row: Row): Delivery => ({
  ...addressOfRow(row),
  id: row.id,
  ...(row.given_id !== null && { givenId: row.given_id }),
  ...(row.key !== null && { key: row.key }),
  ...(row.headers && { headers: row.headers }),
  arguments: row.arguments,
});

const keptOf = (row: Row): KeptDelivery => ({
  ...deliveryOf(row),
  state: row.state,
  attempts: row.attempts,
  storedAt: row.stored_at,
  since: row.since,
  ...(row.error && { error: row.error }),
});
