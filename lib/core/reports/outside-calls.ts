import { AsyncLocalStorage } from 'node:async_hooks';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { ClientRequest } from 'node:http';
import type { SafeLogger } from './safe-logger.js';
import { currentTransaction } from '../transactions/current-transaction.js';

/** An inline callback, and the event that it answers. */
interface Caller {
  readonly event: { readonly label: string };
  readonly callback: { readonly id: string };
}

/** A request of `fetch()`, or of anything else that is built on undici. */
interface UndiciRequest {
  readonly method: string;
  readonly origin?: string | URL;
}

/**
 * Tells, for development, which inline callbacks call somebody else while the transaction of their run is open. The
 * transaction waits for the answer, and so does everybody who wants a row that it has locked.
 */
export class OutsideCalls {
  private readonly callers: AsyncLocalStorage<Caller> | undefined;
  private readonly told = new Set<string>();
  private isListening = false;

  constructor(
    isOn: boolean,
    private readonly logger: SafeLogger,
  ) {
    if (isOn) this.callers = new AsyncLocalStorage();
  }

  private listen(): void {
    if (this.isListening) return;
    this.isListening = true;
    // Node loads `fetch()` when somebody uses its classes. It must have made its channel before: Node 20 forgets a channel
    // that nobody but us has held, and may then forget by mistake the one that has been made in its place.
    void globalThis.Request;
    subscribe('undici:request:create', this.onFetch);
    subscribe('http.client.request.start', this.onRequest);
  }

  stop(): void {
    // Asking Node to unsubscribe makes the channel, too.
    if (!this.isListening) return;
    this.isListening = false;
    unsubscribe('undici:request:create', this.onFetch);
    unsubscribe('http.client.request.start', this.onRequest);
  }

  /** Calls a callback, and remembers it as the caller of everything that it calls. */
  from<T>(event: Caller['event'], callback: Caller['callback'], work: () => T): T {
    if (!this.callers) return work();
    this.listen();
    return this.callers.run({ event, callback }, work);
  }

  /** Notes that somebody else is called. It is told once for each callback. */
  note(called: string): void {
    const caller = this.callers?.getStore();
    if (!caller || (currentTransaction()?.isOver ?? true)) return;
    const { event, callback } = caller;
    const message =
      `${callback.id} called ${called} while the transaction was open that "${event.label}" was run in: that waits for the ` +
      `answer, with all that it has locked. Give the callback delivery: 'durable' or 'after-commit'.`;
    if (!this.told.has(message)) this.logger.warn(message);
    this.told.add(message);
  }

  private readonly onFetch = (message: unknown) => {
    const { method, origin } = (message as { request: UndiciRequest }).request;
    this.note(`${method} ${String(origin)}`);
  };

  private readonly onRequest = (message: unknown) => {
    const { request } = message as { request: ClientRequest };
    this.note(`${request.method} ${request.protocol}//${String(request.getHeader('host'))}`);
  };
}
