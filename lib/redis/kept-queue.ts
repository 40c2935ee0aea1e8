import type { DeliveryAddress } from '../engine/index.js';
import type { Queue } from './queues.js';

/** A queue, and the address that its deliveries belong to now. */
export interface KeptQueue {
  readonly name: string;
  readonly queue: Queue;
  readonly address: DeliveryAddress;
}
