/** A promise that says when somebody asks for its value, as `await` does. */
export class AskedPromise<T> extends Promise<T> {
  /** What comes of it are usual promises. */
  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  /** Is called each time. Declared without a value, which would be set after the executor has run. */
  declare onAsked?: () => void;

  // It is a promise, and stays one.
  // oxlint-disable-next-line unicorn/no-thenable
  override then<A = T, B = never>(
    onValue?: ((value: T) => A | PromiseLike<A>) | null,
    onFailure?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.onAsked?.();
    return super.then(onValue, onFailure);
  }
}
