import { addressName, type DeliveryAddress, type DurableCallback, fits } from '../../engine/index.js';

/** Which callbacks of a memory store are paused, and since when. */
export class Pauses {
  private readonly times = new Map<string, number>();

  has(address: DeliveryAddress): boolean {
    return this.times.has(addressName(address));
  }

  /** In milliseconds since 1970. */
  since(address: DeliveryAddress): number | undefined {
    return this.times.get(addressName(address));
  }

  /** @returns how many this has paused */
  pause(filter: Partial<DeliveryAddress>, callbacks: readonly DurableCallback[], now: number): number {
    const fresh = callbacks.filter((callback) => fits(callback, filter) && !this.has(callback));
    for (const callback of fresh) this.times.set(addressName(callback), now);
    return fresh.length;
  }

  /** @returns how many this has resumed */
  resume(filter: Partial<DeliveryAddress>, callbacks: readonly DurableCallback[]): number {
    const paused = callbacks.filter((callback) => fits(callback, filter) && this.has(callback));
    for (const callback of paused) this.times.delete(addressName(callback));
    return paused.length;
  }

  /** Pauses a callback that is new, if it was paused under a former id: nothing stays there. */
  inherit({ event, callback, formerly }: DurableCallback): void {
    const former = formerly.map((id) => ({ event, callback: id }));
    const times = former.flatMap((address) => this.since(address) ?? []);
    if (times.length > 0) this.times.set(addressName({ event, callback }), Math.min(...times));
    for (const address of former) this.times.delete(addressName(address));
  }
}
