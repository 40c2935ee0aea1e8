import { recognizeCopies } from '../copies/shared.js';

/**
 * Thrown by a durable callback: this delivery can never succeed, so it goes to the dead letters without further attempts.
 *
 * @example
 * if (response.status === 410) throw new DeliveryRefused('The address is no more', { cause: response.statusText });
 */
export class DeliveryRefused extends Error {
  override readonly name = 'DeliveryRefused';
}
recognizeCopies(DeliveryRefused, 'DeliveryRefused');
