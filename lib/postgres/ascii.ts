/** An error, or a part of one, whose text any database can store, whatever its encoding: each other character becomes a question mark. */
export const asAscii = <Told extends object>(told: Told): Told =>
  JSON.parse(JSON.stringify(told), (_, value: unknown) =>
    typeof value === 'string' ? value.replace(/[^\0-\x7f]/g, '?') : value,
  ) as Told;
