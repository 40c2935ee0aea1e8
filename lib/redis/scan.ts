import { type DeliveryFilter, type DeliveryQuery, isMeant, isSearch } from '../engine/index.js';
import type { Client } from './connections.js';
import { errorOf, optionsOf } from './kept-job.js';
import type { KeptQueue } from './kept-queue.js';
import { pageOf } from './pages.js';
import { type Place, type Stage, STAGES, type Wanted } from './place.js';
import { findPlaces, portionsOf } from './places.js';
import { parsed } from './stored-job.js';

/** How many jobs are looked at, at once, so that whatever else there is to do need not wait for long. */
const AT_ONCE = 100;
/** How many are looked at in all, where some may not fit. */
const MOST_SCANNED = 1_000;
/** How many bytes of data are looked at for keys: by one script, and in all. */
const MOST_BYTES_AT_ONCE = 4_000_000;
const MOST_BYTES = 16_000_000;

/** A place among all queues. */
export interface QueuePlace {
  readonly name: string;
  readonly place?: Place;
}

/** Which jobs are looked for. */
export interface Scan extends Pick<DeliveryQuery, 'state' | 'order' | 'limit'> {
  readonly filter: DeliveryFilter;
  readonly after?: QueuePlace;
  /** Only those that ended before so many milliseconds since 1970. */
  readonly endedBefore?: number;
}

export interface Scanned {
  readonly found: readonly { readonly queue: KeptQueue; readonly places: readonly Place[] }[];
  readonly scanned: number;
  /** Where to go on, if there may be more. */
  readonly last?: QueuePlace;
}

/** What of a job filters look at. */
type Told = [
  timestamp: string | null,
  opts: string | null,
  error: string | null,
  failedReason: string | null,
  finishedOn: string | null,
  data: string | null,
];

/**
 * Reads what filters look at; of the data, where the key is asked for, the beginning, which has it. It stops after so many bytes.
 * Answers with the number of these, too.
 */
const READ = `
  local found, bytes = {}, 0
  for at = 3, #ARGV do
    local job = ARGV[1] .. ARGV[at]
    local told = redis.call('hmget', job, 'timestamp', 'opts', 'error', 'failedReason', 'finishedOn')
    if ARGV[2] == 'key' then
      local data = redis.call('hget', job, 'data') or ''
      bytes = bytes + #data
      told[6] = string.sub(data, 1, 4096)
    end
    found[at - 2] = told
    if bytes > ${MOST_BYTES_AT_ONCE} then break end
  end
  return { found, bytes }`;

/** Looks through jobs of some queues that are in one state, one queue after the other, until enough are found or looked at. */
export class Scanning {
  private readonly found: { queue: KeptQueue; places: Place[] }[] = [];
  private count = 0;
  private scanned = 0;
  private bytes = 0;
  private last: QueuePlace | undefined;
  private readonly isFiltered: boolean;

  private constructor(
    private readonly client: Client,
    private readonly scan: Scan,
  ) {
    this.isFiltered = isSearch(scan.filter);
  }

  static async of(client: Client, queues: readonly KeptQueue[], scan: Scan): Promise<Scanned> {
    const scanning = new Scanning(client, scan);
    const { after } = scan;
    const sorted = [...queues].sort((one, other) => (one.name < other.name ? -1 : 1));
    for (const queue of sorted.filter(({ name }) => !after || name >= after.name)) {
      await scanning.through(queue, queue.name === after?.name ? after.place : undefined);
      if (scanning.isOver) break;
    }
    const { found, scanned, last, isOver } = scanning;
    return { found, scanned, ...(isOver && last && { last }) };
  }

  private get isOver(): boolean {
    const isTooMuch = this.scanned >= MOST_SCANNED || this.bytes > MOST_BYTES;
    return this.count >= this.scan.limit || (this.isFiltered && isTooMuch);
  }

  private async through(queue: KeptQueue, after: Place | undefined): Promise<void> {
    const { state, filter } = this.scan;
    const one = { queue, places: [] };
    this.found.push(one);
    if (filter.ids) return this.look(one, await this.byIds(queue, filter.ids, after));
    const stages: readonly Stage[] = STAGES[state];
    let delayedReadAt = after?.delayedReadAt;
    for (let place = after, at = place ? stages.indexOf(place.stage) : 0; at < stages.length && !this.isOver;) {
      const stage = stages[at];
      if (stage === 'delayed') delayedReadAt = Date.now();
      const limit = this.isFiltered ? AT_ONCE : this.scan.limit - this.count;
      const page = await pageOf(this.client, queue.queue, stage, { ...this.range, limit, after: place });
      const places = page.map((found) => ({ ...found, delayedReadAt }));
      await this.look(one, places);
      place = places.at(-1);
      if (page.length < limit) [place, at] = [undefined, at + 1];
    }
  }

  /** The times of ending, by which the sets of dead and completed jobs are in order. */
  private get range(): Omit<Wanted, 'limit'> {
    const { state, order, filter, endedBefore = Infinity } = this.scan;
    if (state !== 'dead' && state !== 'completed') return { order };
    const from = [filter.storedAfter, filter.endedAfter].map((time) => time?.getTime() ?? -Infinity);
    return {
      order,
      least: Math.max(...from),
      below: Math.min(filter.endedBefore?.getTime() ?? Infinity, endedBefore),
    };
  }

  private async byIds({ queue }: KeptQueue, ids: readonly string[], after: Place | undefined): Promise<Place[]> {
    const stages: readonly Stage[] = STAGES[this.scan.state];
    const rank = ({ stage, at, id }: Place) => [stages.indexOf(stage), at, id] as const;
    const places = (await findPlaces(this.client, queue, ids))
      .filter(({ stage }) => stages.includes(stage))
      .sort((one, other) => compare(rank(one), rank(other)));
    if (this.scan.order === 'newest') places.reverse();
    const way = this.scan.order === 'newest' ? -1 : 1;
    return places.filter((place) => !after || compare(rank(place), rank(after)) * way > 0);
  }

  /** Looks which of some jobs fit, up to the one with which there are enough. */
  private async look({ queue, places }: { queue: KeptQueue; places: Place[] }, some: readonly Place[]): Promise<void> {
    const looked = (place: Place, fits: boolean) => {
      if (this.isOver) return;
      this.scanned++;
      this.last = { name: queue.name, place };
      if (!fits) return;
      this.count++;
      places.push(place);
    };
    if (!this.isFiltered) return some.forEach((place) => looked(place, true));
    for (const portion of portionsOf(some, AT_ONCE)) {
      for (let rest = portion; rest.length > 0 && !this.isOver;) {
        const told = await this.read(queue, rest);
        told.forEach((one, at) => looked(rest[at], this.fits(one)));
        rest = rest.slice(told.length);
      }
    }
  }

  private async read({ queue }: KeptQueue, places: readonly Place[]): Promise<Told[]> {
    const ids = places.map(({ id }) => id);
    const what = this.scan.filter.key === undefined ? '' : 'key';
    const [told, bytes] = (await this.client.eval(READ, 0, queue.toKey(''), what, ...ids)) as [Told[], number];
    this.bytes += bytes;
    return told;
  }

  private fits(told: Told): boolean {
    const [timestamp, opts, error, failedReason, finishedOn, data] = told;
    // It is gone.
    if (told.every((one) => !one)) return false;
    const { state, filter } = this.scan;
    return isMeant(
      {
        key: data ? keyIn(data) : undefined,
        headers: filter.headers && optionsOf(opts).headers,
        error: (error ?? failedReason) ? errorOf({ error, failedReason }) : undefined,
        storedAt: new Date(Number(timestamp)),
        since: new Date(Number(finishedOn)),
        state,
      },
      filter,
    );
  }
}

const KEY = /^\{"key":("(?:[^"\\]|\\.)*")/;

/** Reads the key out of the beginning of a job's data. Every version of this package writes it first. */
const keyIn = (data: string) => parsed(KEY.exec(data)?.[1] ?? '') as string | undefined;

type Rank = readonly [stage: number, at: number, id: string];

function compare(one: Rank, other: Rank): number {
  const at = one.findIndex((part, index) => part !== other[index]);
  if (at < 0) return 0;
  return one[at] < other[at] ? -1 : 1;
}
