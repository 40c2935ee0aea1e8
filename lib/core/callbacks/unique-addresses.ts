import { callbackAmbiguous } from '../errors/delivery-errors.js';
import { addressKey } from '../engine/address-name.js';
import type { RegisteredEvent } from './registered-event.js';

/** Makes sure that each address of an application, now or by a former id, is that of one callback. */
export class UniqueAddresses {
  private readonly owners = new Map<string, string>();

  /** @throws EVENTS_CALLBACK_AMBIGUOUS */
  add(event: RegisteredEvent): void {
    for (const { id, durable } of event.durable) {
      for (const callback of [id, ...durable.formerly]) {
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
