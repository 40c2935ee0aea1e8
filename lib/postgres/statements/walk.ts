import type { DeliveriesOrder } from '../../engine/index.js';
import type { Tables } from './tables.js';

/** A condition of a part of a queue's deliveries. It may depend on the queue, whose name the alias has. */
export type Part = string | ((queue: string) => string);

/** Where deliveries lie: in parts, each of which is a condition of an index, read in the order of `place`. */
export interface Lying {
  readonly place: string;
  readonly parts: readonly Part[];
}

/** How the deliveries are read that lie in some place. */
export interface Walk {
  readonly order: DeliveriesOrder;
  /** Between which places, as conditions. */
  readonly bounds?: readonly string[];
  /** What else is to be known of each row, as columns. */
  readonly columns?: readonly string[];
}

/** The queues `$1`. */
export const MEANT = `unnest($1::text[]) as meant(name)`;

const DIRECTION = {
  oldest: { way: 'asc', after: '>', start: '-infinity', end: 'infinity', id: '00000000-0000-0000-0000-000000000000' },
  newest: { way: 'desc', after: '<', start: 'infinity', end: '-infinity', id: 'ffffffff-ffff-ffff-ffff-ffffffffffff' },
};

/** Whether a row comes after what was stored at microsecond `$2` with id `$3` in queue `$4`. */
export function isBehind(place: string, order: DeliveriesOrder = 'oldest'): string {
  const { after, start, id } = DIRECTION[order];
  return `(${place}, j.id, j.name) ${after} (
          coalesce(timestamptz 'epoch' + $2::text::bigint * interval '1 microsecond', '${start}'),
          coalesce($3::text::uuid, '${id}'), coalesce($4::text, ''))`;
}

/** The order of a page, as SQL. */
export function inOrder(order: DeliveriesOrder): string {
  const { way } = DIRECTION[order];
  return `place ${way}, id ${way}, name ${way}`;
}

/** How many rows are read of each queue at first: of one all that are wanted, of many less. */
const SHARE = `ceil($5::int / sqrt(greatest(cardinality($1::text[]), 1)))::int`;

/**
 * The first `$5` of all queues in some parts, after a place. A share of it is read of each queue, and a whole page only of those
 * whose share does not reach to the end of the page: these are about as many as the square root of all, at most. So a page of
 * many queues costs little more than one of one queue, however the deliveries are spread. Those stored at the same
 * moment are put in order outside: inside, the planner would sort all where it believes that there are few.
 */
export function walk({ job }: Tables, { place, parts }: Lying, { order, bounds = [], columns = [] }: Walk): string {
  const { way, after, end } = DIRECTION[order];
  const conditions = [...bounds, isBehind(place, order)].join(' and ');
  const headOf = (queue: string, most: string) => {
    const heads = parts.map(
      (part) => `(
            select ${['id', 'name', `${place} as place`, 'ctid as spot', ...columns].join(', ')} from ${job} j
            where name = ${queue}.name and ${typeof part === 'string' ? part : part(queue)} and ${conditions}
            order by ${place} ${way} fetch first (${most}) rows with ties)`,
    );
    return `(${heads.join(' union all ')}) as head`;
  };
  // The limit of `short` cuts nothing off. It has the planner take them for few: else it believes all of this to cost so much
  // that it compiles it, which takes longer.
  return `
        with share as materialized (
          select head.* from ${MEANT} cross join lateral ${headOf('meant', SHARE)}
        ), short as materialized (
          select name from share
          where not place ${after} coalesce((select place from share order by place ${way} offset $5::int - 1 limit 1), '${end}')
          group by name having count(*) >= ${SHARE} and ${SHARE} < $5::int
          limit (select count(*) from share)
        )
        select * from share where name not in (select name from short)
        union all
        select head.* from short cross join lateral ${headOf('short', '$5::int')}
        order by ${inOrder(order)} limit $5::int`;
}
