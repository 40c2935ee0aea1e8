/** Postgres takes neither a NUL character nor half of a surrogate pair, even escaped. */
const UNSAFE = /\0|\p{Surrogate}/u;
export const isSafe = (text: string) => !UNSAFE.test(text);

/** Text as it is, or escaped. */
export const writeString = (text: string): string | { readonly $type: string; readonly value: string } =>
  isSafe(text) ? text : { $type: 'String', value: escape(text) };
const escape = (text: string) =>
  text.replace(/[\\\0]|\p{Surrogate}/gu, (character) =>
    character === '\\' ? '\\\\' : `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );

/** Reads what {@link writeString} has escaped. */
export function unescape(text: string): string {
  return text.replace(/\\(\\|u([0-9a-f]{4}))/g, (_, escaped: string, code?: string) =>
    code ? String.fromCharCode(parseInt(code, 16)) : escaped,
  );
}
