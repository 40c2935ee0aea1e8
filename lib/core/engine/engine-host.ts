/** The ears of the application that has started an engine. */
export interface EngineHost {
  /** Names this instance to people: its host and its process id, as in `web-1:4711`. */
  readonly instance: string;
  /** Tells something worth knowing, in a line of the log. */
  log(message: string): void;
  /** Tells something that somebody should look at, though work goes on. */
  warn(message: string): void;
  /** Tells of a failure that nobody waits for. */
  report(what: string, error: unknown): void;
}
