import { createHash } from 'node:crypto';

/** What a statement takes, as types, and what it answers with, as columns. */
export interface Signature {
  readonly takes: string;
  readonly returns: string;
}

/** A statement that is kept in the schema as a function. */
export interface SqlFunction {
  readonly name: string;
  /** What runs it, with the same parameters. */
  readonly call: string;
  /** Its name, with the types that it takes. */
  readonly signature: string;
  /** Makes it, unless it is there. */
  readonly sql: string;
}

/**
 * The plan hangs on the indexes alone, never on how many deliveries there are at the moment, as it is kept when there are more.
 */
const BY_INDEX_IN_ORDER = ['enable_seqscan', 'enable_bitmapscan', 'enable_sort', 'jit'].map((of) => `set ${of} = off`);

const snakeCase = (name: string) => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/**
 * Keeps a statement in the schema, as a function. Each session plans it once, and not each time: planning takes several times as
 * long as running it. Behind a pooler there is no other way, as a prepared statement may be another session's.
 *
 * Its name tells its text, so that versions of this package with other texts may run side by side.
 */
export const functionFor = (schema: string, name: string, statement: string, signature: Signature): SqlFunction =>
  procedureFor(schema, name, `begin return query ${statement};\n    end`, signature);

/** The same for several statements, each of which sees what was there when it begins: a block of PL/pgSQL. */
export function procedureFor(schema: string, name: string, block: string, { takes, returns }: Signature): SqlFunction {
  const version = createHash('md5').update(`${takes} ${returns} ${block}`).digest('hex').slice(0, 8);
  const fullName = `${schema}.events_${snakeCase(name)}_${version}`;
  const params = takes.split(',').map((_, index) => `$${index + 1}`);
  const signature = `${fullName}(${takes})`;
  return {
    name: fullName,
    call: `select * from ${fullName}(${params.join(', ')})`,
    signature,
    sql: `
do $make$ begin
  if to_regprocedure('${signature}') is null then
    create function ${signature} returns table (${returns}) language plpgsql
    ${BY_INDEX_IN_ORDER.join(' ')} set plan_cache_mode = force_generic_plan as $events$
    #variable_conflict use_column
    ${block} $events$;
  end if;
end $make$;
`,
  };
}
