import { callbackAmbiguous } from '../errors/delivery-errors.js';
import type { DeliveryAddress } from '../engine/engine.js';
import type { RegisteredEvent } from './registered-event.js';

/** An address as one string. Nobody sees it. */
export const addressKey = ({ event, callback }: DeliveryAddress) => JSON.stringify([event, callback]);

/** Where an application's deliveries may go, now or by a former id: each place to one callback. */
export class DeliveryAddresses {
  private readonly owners = new Map<string, string>();

  /** @throws EVENTS_CALLBACK_AMBIGUOUS */
  add(event: RegisteredEvent): void {
    for (const { id, durable } of event.durable) {
      for (const callback of [id, ...durable!.formerly]) {
        const address = { event: event.label, callback };
        const key = addressKey(address);
        const owner = this.owners.get(key);
        if (owner === id && callback === id) throw callbackAmbiguous(address, 'several callbacks have that id');
        if (owner) throw callbackAmbiguous(address, `it is, or was, the id of ${owner} and of ${id}`);
        this.owners.set(key, id);
      }
    }
  }
}
