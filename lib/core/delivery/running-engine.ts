import { hostname } from 'node:os';
import { atMost } from '../async/time-limits.js';
import type { DurableEngine, EngineFactory } from '../engine/engine.js';
import type { EngineHost } from '../engine/engine-host.js';
import { engineClosed, engineFailed, engineInvalid, engineMissing } from '../errors/delivery-errors.js';
import type { Failures } from '../reports/failures.js';
import { show } from '../errors/describe.js';
import { SafeLogger } from '../reports/safe-logger.js';

/** How long closing waits for the engine's connections to end, though no time is left. It gives them up then anyway. */
const GOODBYE_MS = 250;

/** The engine of one application: makes it, starts it when somebody needs it, and stops it. */
export class RunningEngine implements EngineHost {
  readonly instance = `${hostname()}:${process.pid}`;
  private readonly logger = new SafeLogger('EventsModule');
  /** Made to answer what its kind is, before it starts. */
  private unstarted: DurableEngine | undefined;
  /** The engine that is just starting. */
  private made: DurableEngine | undefined;
  private starting: Promise<DurableEngine> | undefined;
  private hasStopped = false;
  /** The engine, while it runs. */
  current: DurableEngine | undefined;

  constructor(
    private readonly factory: EngineFactory | undefined,
    private readonly failures: Failures,
  ) {}

  log = (message: string) => this.logger.log(message);
  warn = (message: string) => this.logger.warn(message);
  report = (what: string, error: unknown) => this.failures.log('error', what, error);

  /** Whether the application names an engine. */
  get isConfigured(): boolean {
    return this.factory !== undefined;
  }

  /** Whether deliveries can be stored in a transaction; if not, they are stored when it has committed. */
  get takesTransactions(): boolean {
    return this.kind.capabilities.transactions;
  }

  /** The engine's name in messages. */
  get name(): string {
    return this.kind.name;
  }

  /** The engine itself, started on the first call. @throws EVENTS_ENGINE_FAILED, EVENTS_CLOSED */
  async start(): Promise<DurableEngine> {
    if (this.hasStopped) throw engineClosed();
    return (this.starting ??= this.create().catch((error: unknown) => {
      this.starting = undefined;
      throw error;
    }));
  }

  /**
   * Gives up its connections, also while it still starts, and waits for that.
   *
   * @param withinMs about how long, at most
   */
  async stop(withinMs: number): Promise<void> {
    this.hasStopped = true;
    const engine = this.current ?? this.made;
    if (!engine) return;
    this.current = undefined;
    const stopping = engine
      .stop()
      .catch((error: unknown) => this.report(`The engine ${engine.name} did not stop`, error));
    await atMost(Math.max(withinMs, GOODBYE_MS), Promise.allSettled([stopping, this.starting]));
  }

  /** The engine as far as it is known before it starts. */
  private get kind(): Pick<DurableEngine, 'name' | 'capabilities'> {
    return this.current ?? this.made ?? (this.unstarted ??= this.make());
  }

  private async create(): Promise<DurableEngine> {
    const engine = this.unstarted ?? this.make();
    this.unstarted = undefined;
    this.made = engine;
    try {
      await engine.start(this);
      if (this.hasStopped) throw engineClosed();
    } catch (cause) {
      await engine.stop().catch(() => {});
      if (this.hasStopped) throw engineClosed();
      throw engineFailed(engine.name, 'start', cause);
    } finally {
      this.made = undefined;
    }
    this.current = engine;
    return engine;
  }

  private make(): DurableEngine {
    if (!this.factory) throw engineMissing('A durable delivery was asked for');
    let made: DurableEngine;
    try {
      made = this.factory();
    } catch (cause) {
      throw engineInvalid(cause);
    }
    if (typeof (made as Partial<DurableEngine> | undefined)?.start !== 'function') throw engineInvalid(noEngine(made));
    return made;
  }
}

/** `postgres({ … })` makes what makes an engine, and somebody has wrapped that once more, or has passed something else. */
const noEngine = (made: unknown): Error =>
  typeof (made as Partial<Promise<unknown>> | undefined)?.then === 'function'
    ? new Error('it is made by an async function. Make it in forRootAsync(), where useFactory may be async.')
    : new Error(
        `calling it gives ${show(made)}, and no engine. Pass what postgres({ … }) or redis({ … }) returns, as it is.`,
      );
