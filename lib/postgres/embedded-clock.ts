/**
 * Tells when something is stored in PGlite, of which this process is the only user. Its own clock goes in milliseconds, in which
 * much may be stored, and each needs a place of its own.
 */
export class EmbeddedClock {
  private last = 0;

  /** In microseconds since 1970, and later than ever before. */
  next(): number {
    this.last = Math.max(Date.now() * 1_000, this.last + 1);
    return this.last;
  }
}
