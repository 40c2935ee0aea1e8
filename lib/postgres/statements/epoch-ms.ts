/** Writes a time as a number, because the application's pool may have been told to read times in its own way. */
export const epochMs = (time: string) => `extract(epoch from ${time})::float8 * 1000`;
