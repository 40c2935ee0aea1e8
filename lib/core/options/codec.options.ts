import { optionInvalid } from '../errors/callback-errors.js';

/**
 * Changes what is stored of a delivery to a form that nobody reads without it: an encryption, say. Its arguments go through it, and
 * the texts of its errors. Headers, keys and ids stay readable.
 *
 * Both answer at once. Another process, or a later version of the application, must be able to decode what this one encodes.
 *
 * @example
 * const codec: DeliveryCodec = {
 *   encode: (json) => seal(json, key),
 *   decode: (text) => open(text, key),
 * };
 */
export interface DeliveryCodec {
  /** Makes of a JSON text what is stored in its place: any text without NUL characters, in base64 say. */
  encode(json: string): string;
  /** Makes the JSON text again of what {@link encode} has made. If it throws, the attempt fails, and is made again later. */
  decode(text: string): string;
}

/** @throws EVENTS_OPTION_INVALID */
export function requireCodec(codec: DeliveryCodec | undefined): DeliveryCodec | undefined {
  const isOne = codec === undefined || (typeof codec?.encode === 'function' && typeof codec.decode === 'function');
  if (!isOne) throw optionInvalid('codec', codec, 'Pass { encode(json), decode(text) }.');
  return codec;
}
