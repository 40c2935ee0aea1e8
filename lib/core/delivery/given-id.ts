import { createHash } from 'node:crypto';
import type { Delivery } from '../engine/delivery.js';
import { isUuid } from '../options/option-checks.js';

/** Ours alone. Another one would make other ids of the same texts, and store again what is stored. */
const NAMESPACE = Buffer.from('6f1d2c0a8b7e4f53a9d41be07c6a52f8', 'hex');

/** The id under which deliveries are stored that the application calls so: a UUID itself, or one of version 5, made of the text. */
export const idOf = (given: string): string => (isUuid(given) ? given.toLowerCase() : uuidOf(given));

function uuidOf(text: string): string {
  const bytes = createHash('sha1').update(NAMESPACE).update(text).digest().subarray(0, 16);
  bytes[6] = (bytes[6] & 0x0f) | 0x50;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

/** What the application calls deliveries that are stored under this id, if that is something else. */
export const givenIdOf = (given: string): Pick<Delivery, 'givenId'> => (isUuid(given) ? {} : { givenId: given });

/** The id of a delivery, as the application knows it. */
export const shownId = ({ id, givenId = id }: Pick<Delivery, 'id' | 'givenId'>): string => givenId;
