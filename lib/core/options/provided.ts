/**
 * Wraps a value that a module of ours provides and another of ours may do without. A test module that mocks whatever is not
 * provided answers for that, too, and its mocks may look like anything but this.
 */
export class Provided<T> {
  readonly #value: T;

  constructor(value: T) {
    this.#value = value;
  }

  /** Whether it was provided, and is no mock. */
  static is(provided: unknown): provided is Provided<unknown> {
    return typeof provided === 'object' && provided !== null && #value in provided;
  }

  /** The value, if it was provided; nothing for a mock. */
  static valueOf<T>(provided: Provided<T> | undefined): T | undefined {
    return Provided.is(provided) ? (provided as Provided<T>).#value : undefined;
  }
}
