/** The ears of the application that has started an engine. */
export interface EngineHost {
  /** Tells something worth knowing, in a line of the log. */
  log(message: string): void;
  /** Tells something that somebody should look at, though work goes on. */
  warn(message: string): void;
  /** Tells of a failure that nobody waits for. */
  report(what: string, error: unknown): void;
}
