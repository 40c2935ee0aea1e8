import { isThenable } from '../async/promises.js';
import { LONGEST_MESSAGE } from '../engine/delivery-history.js';
import type { Json } from '../engine/delivery.js';
import { codecFailed } from '../errors/codec-errors.js';
import { ENCODED_TEXT, type StoredError } from '../errors/stored-error.js';
import type { DeliveryCodec } from '../options/codec.options.js';
import { isSafe } from './stored-text.js';

/** Stands for arguments that went through a codec. No argument is stored so by itself. */
const ENCODED = 'Encoded';

/** Puts what is stored through the application's codec, if it has one, and back. */
export class Coding {
  constructor(private readonly codec: DeliveryCodec | undefined) {}

  /** Whether texts of errors are kept from whoever reads the store, or the log. */
  get isOn(): boolean {
    return this.codec !== undefined;
  }

  /** @throws EVENTS_CODEC_FAILED */
  encodeArguments(event: string, args: readonly Json[]): readonly Json[] {
    if (!this.codec) return args;
    return [{ $type: ENCODED, value: this.encode(`the arguments of "${event}"`, args) }];
  }

  /** @throws EVENTS_CODEC_FAILED */
  decodeArguments(event: string, stored: readonly Json[]): readonly Json[] {
    const text = encodedIn(stored);
    return text === undefined ? stored : (this.decode(`the arguments of "${event}"`, text) as Json[]);
  }

  /** Hides the texts of an error. Its name and its code stay readable. One that cannot be encoded loses them. */
  encodeError(error: StoredError): StoredError {
    if (!this.codec) return error;
    const { name, code, ...texts } = error;
    // The message alone is what the history of a delivery remembers. Where the stack would be, there is everything.
    return {
      name,
      ...(code !== undefined && { code }),
      message: this.hidden(error.message.slice(0, LONGEST_MESSAGE)),
      stack: this.hidden(texts),
    };
  }

  /** Reads an error. If that cannot be, it is shown as it is stored. */
  decodeError(stored: StoredError): StoredError {
    const texts = this.read(stored.stack);
    if (typeof texts !== 'object' || texts === null) return stored;
    const { stack: _encoded, ...rest } = stored;
    return { ...rest, ...texts };
  }

  /** Reads a message of a history. If that cannot be, it is shown as it is stored. */
  decodeMessage(message: string): string {
    const text = this.read(message);
    return typeof text === 'string' ? text : message;
  }

  private read(text: string | undefined): unknown {
    if (!text?.startsWith(ENCODED_TEXT)) return undefined;
    try {
      return this.decode('an error', text.slice(ENCODED_TEXT.length));
    } catch {
      return undefined;
    }
  }

  private hidden(text: unknown): string {
    try {
      return ENCODED_TEXT + this.encode('an error', text);
    } catch {
      return 'it could not be encoded, and is not kept';
    }
  }

  private encode(what: string, value: unknown): string {
    let text: unknown;
    try {
      text = this.codec!.encode(JSON.stringify(value));
    } catch (cause) {
      throw codecFailed(`could not encode ${what}`, 'Nothing is stored.', cause);
    }
    if (typeof text === 'string' && isSafe(text)) return text;
    // Whatever it is, it may be what is to be kept secret.
    throw codecFailed(`answered with ${kindOf(text)} for ${what}`, 'Answer with a string, at once: in base64, say.');
  }

  private decode(what: string, text: string): unknown {
    if (!this.codec) {
      throw codecFailed(`is missing here, and ${what} went through one`, 'Pass the codec of who has stored them.');
    }
    try {
      return JSON.parse(this.codec.decode(text));
    } catch (cause) {
      throw codecFailed(`could not decode ${what}`, 'Have it know all keys that are in use.', cause);
    }
  }
}

function kindOf(answer: unknown): string {
  if (typeof answer === 'string') return 'text that holds a NUL character, or half of a character,';
  if (!isThenable(answer)) return `what is no string (${answer === null ? 'null' : typeof answer})`;
  // Nobody waits for it.
  Promise.resolve(answer).catch(() => {});
  return 'a promise';
}

function encodedIn(stored: readonly Json[]): string | undefined {
  if (!Array.isArray(stored) || stored.length !== 1) return undefined;
  const [only] = stored as readonly ({ $type?: unknown; value?: unknown } | null)[];
  return only?.$type === ENCODED && typeof only.value === 'string' ? only.value : undefined;
}
