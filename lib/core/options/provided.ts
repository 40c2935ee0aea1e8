/**
 * Wraps a value that a module of ours provides and another of ours may do without. A test module that mocks whatever is not
 * provided answers for that, too, and its mocks may look like anything but this.
 */
export class Provided<T> {
  readonly #value: T;

  constructor(value: T) {
    this.#value = value;
  }

  /** The value, if it was provided; nothing for a mock. */
  static valueOf<T>(provided: Provided<T> | undefined): T | undefined {
    const isOurs = typeof provided === 'object' && provided !== null && #value in provided;
    return isOurs ? provided.#value : undefined;
  }
}
