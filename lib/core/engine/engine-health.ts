import type { EngineHost } from './engine-host.js';
import { clearTimeout, setTimeout } from '../async/timers.js';
import { messageOf } from '../errors/thrown.js';

/** How long a server must have worked, without a failure, to work again: one whose memory is full fails every now and then. */
const STEADY_MS = 1_000;

/** Says once that an engine's server is away, and once that it is back, whatever keeps trying in between. */
export class EngineHealth {
  private awaySince: number | undefined;
  private returning: NodeJS.Timeout | undefined;
  private hasStopped = false;

  /**
   * @param name the server's name in messages
   * @param tellable makes of an error what may be told of it
   */
  constructor(
    private readonly host: EngineHost,
    private readonly name: string,
    private readonly tellable: (error: unknown) => unknown = (error) => error,
  ) {}

  failed(error: unknown): void {
    clearTimeout(this.returning);
    this.returning = undefined;
    if (this.awaySince !== undefined || this.hasStopped) return;
    this.awaySince = performance.now();
    const cause = this.tellable(error);
    this.host.report(
      `${this.name} does not work, and is tried again each second`,
      new Error(messageOf(cause), { cause }),
    );
  }

  works(): void {
    if (this.awaySince === undefined || this.returning || this.hasStopped) return;
    const seconds = (performance.now() - this.awaySince) / 1_000;
    this.returning = setTimeout(() => {
      [this.awaySince, this.returning] = [undefined, undefined];
      this.host.log(`${this.name} works again, after ${seconds.toFixed(1)} s.`);
    }, STEADY_MS).unref();
  }

  /** Says no more: what fails from now on was ended by whoever stops. */
  stop(): void {
    this.hasStopped = true;
    clearTimeout(this.returning);
  }
}
