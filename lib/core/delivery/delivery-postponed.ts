import { recognizeCopies } from '../copies/shared.js';
import { givenInvalid } from '../errors/run-errors.js';
import { show } from '../errors/describe.js';
import { IS_DURATION } from '../options/option-checks.js';

/** Whoever is told to come back at once, again and again, does not ask a server that has enough without a pause. */
export const LEAST_POSTPONED_MS = 100;

const REMEDY = `${String(IS_DURATION.expected)} A Retry-After header holds seconds, or a date.`;

/**
 * Thrown by a durable callback: this delivery is due again after so many milliseconds, and the attempt is not charged. It is for
 * who is told when to come back, by `Retry-After` say. What is postponed for longer than `retry.maxPostponedMs` in all, fails.
 *
 * @example
 * if (response.status === 429) throw new DeliveryPostponed(Number(response.headers.get('retry-after') ?? 30) * 1_000);
 */
export class DeliveryPostponed extends Error {
  override readonly name = 'DeliveryPostponed';

  /**
   * @param ms how long it is until the delivery is due again, in milliseconds: a tenth of a second at least
   * @throws EVENTS_OPTION_INVALID
   */
  constructor(
    readonly ms: number,
    message = 'not yet',
    options?: ErrorOptions,
  ) {
    if (!IS_DURATION.isValid(ms)) throw givenInvalid('DeliveryPostponed', show(ms), REMEDY);
    super(message, options);
  }
}
recognizeCopies(DeliveryPostponed, 'DeliveryPostponed');
