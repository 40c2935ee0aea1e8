import { atMost } from '../async/time-limits.js';
import type { DurableEngine, EngineFactory, EngineHost } from '../engine/engine.js';
import { engineClosed, engineFailed, engineInvalid, engineMissing } from '../errors/delivery-errors.js';
import type { Failures } from '../reports/failures.js';
import { SafeLogger } from '../reports/safe-logger.js';

/** How long closing waits for the engine's connections to end. */
const LAST_WORDS_MS = 2_000;

/** The engine of one application: makes it, starts it when somebody needs it, and stops it. */
export class RunningEngine implements EngineHost {
  private readonly logger = new SafeLogger('EventsModule');
  /** Made to answer what its kind is, before it starts. */
  private unstarted: DurableEngine | undefined;
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

  /** Gives up its connections, and waits for that, though not for ever. */
  async stop(): Promise<void> {
    this.hasStopped = true;
    const engine = this.current;
    if (!engine) return;
    this.current = undefined;
    const stopping = engine
      .stop()
      .catch((error: unknown) => this.report(`The engine ${engine.name} did not stop`, error));
    await atMost(LAST_WORDS_MS, stopping);
  }

  /** The engine as far as it is known before it starts. */
  private get kind(): Pick<DurableEngine, 'name' | 'capabilities'> {
    return this.current ?? (this.unstarted ??= this.make());
  }

  private async create(): Promise<DurableEngine> {
    const engine = this.unstarted ?? this.make();
    this.unstarted = undefined;
    try {
      await engine.start(this);
    } catch (cause) {
      await engine.stop().catch(() => {});
      throw engineFailed(engine.name, 'start', cause);
    }
    this.current = engine;
    return engine;
  }

  private make(): DurableEngine {
    if (!this.factory) throw engineMissing('A durable delivery was asked for');
    try {
      return this.factory();
    } catch (cause) {
      throw engineInvalid(cause);
    }
  }
}
