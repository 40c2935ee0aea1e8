import { Logger } from '@nestjs/common';
import { showThrown } from '../errors/describe.js';

/** Writes to Nest's logger where nobody would catch an error of a broken one. */
export class SafeLogger {
  private readonly logger: Logger;

  constructor(context: string) {
    this.logger = new Logger(context);
  }

  log = (message: string) => this.attempt(message, () => this.logger.log(message));
  debug = (message: string) => this.attempt(message, () => this.logger.debug(message));
  warn = (message: string) => this.attempt(message, () => this.logger.warn(message));
  error = (message: string, ...stack: string[]) => this.attempt(message, () => this.logger.error(message, ...stack));

  private attempt(message: string, write: () => void): void {
    try {
      write();
    } catch (problem) {
      process.emitWarning(`${message} (and the logger threw when told: ${showThrown(problem)})`);
    }
  }
}
