type Parse = (text: string) => unknown;

const asNumber: Parse = (text) => Number(text);
const asJson: Parse = (text) => JSON.parse(text) as unknown;
const asDate: Parse = (text) => new Date(text);
const asItIs: Parse = (text) => text;

/**
 * How the engine reads what it selects, by the ids that Postgres has for its types: as drivers do by default. An application may have
 * told its driver, pool or PGlite otherwise.
 */
export const OWN_PARSERS: Readonly<Record<number, Parse>> = {
  /* bool */ 16: (text) => text === 't',
  /* int8 */ 20: asItIs,
  /* int2 */ 21: asNumber,
  /* int4 */ 23: asNumber,
  /* text */ 25: asItIs,
  /* oid */ 26: asNumber,
  /* json */ 114: asJson,
  /* float4 */ 700: asNumber,
  /* float8 */ 701: asNumber,
  /* varchar */ 1043: asItIs,
  /* timestamptz */ 1184: asDate,
  /* uuid */ 2950: asItIs,
  /* jsonb */ 3802: asJson,
};
