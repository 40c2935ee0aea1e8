import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import {
  Callback,
  type CallbackFailure,
  type DeliveryCodec,
  EventDeliveries,
  type EventsOptions,
} from 'nestjs-callbacks';
import { expect } from '@jest/globals';
import { Log, startApp, until } from './app.js';

/** Encrypts by AES-GCM: what it makes says by which of the keys, and that nobody has changed it. The first key encrypts. */
export function aesCodec(keys: Readonly<Record<string, Buffer>>): DeliveryCodec {
  const [current] = Object.keys(keys);
  return {
    encode(json) {
      const iv = randomBytes(12);
      const cipher = createCipheriv('aes-256-gcm', keys[current], iv);
      const sealed = Buffer.concat([iv, cipher.update(json, 'utf8'), cipher.final(), cipher.getAuthTag()]);
      return `${current}.${sealed.toString('base64')}`;
    },
    decode(text) {
      const [name, base64] = text.split('.');
      if (!keys[name]) throw new Error(`no key ${name}`);
      const sealed = Buffer.from(base64, 'base64');
      const decipher = createDecipheriv('aes-256-gcm', keys[name], sealed.subarray(0, 12));
      decipher.setAuthTag(sealed.subarray(-16));
      return Buffer.concat([decipher.update(sealed.subarray(12, -16)), decipher.final()]).toString('utf8');
    },
  };
}

const SECRETS = ['4111-1111-1111-1111', 'no card was ever like it', 'because of its owner'];
const [CARD, TEXT, WHY] = SECRETS;

let called: string[] = [];

@Injectable()
class Payments {
  @Callback('paid', { delivery: 'durable', retry: { attempts: 2, delayMs: 0 } }) async charge(card: string) {
    called.push(card);
    throw Object.assign(new TypeError(`${TEXT}: ${card}`, { cause: new Error(WHY) }), { code: 'E_CARD' });
  }
}

/**
 * Runs an application whose callback fails, and looks for its arguments and its errors in all that is stored, and in the log.
 *
 * @param dump reads all that the store holds, as text
 */
export async function keepsSecrets(options: EventsOptions, dump: () => Promise<string>): Promise<void> {
  called = [];
  const codec = aesCodec({ k1: randomBytes(32) });
  const failures: CallbackFailure[] = [];
  const onError = (failure: CallbackFailure) => void failures.push(failure);
  const log = new Log();
  const { app, events } = await startApp([Payments], { ...options, codec, onError }, log);
  await events.with({ key: 'customer-7', headers: { tenant: 'acme' }, id: 'order 12' }).run('paid', CARD);
  const deliveries = app.get(EventDeliveries);
  await until(async () => (await deliveries.list()).found.length === 1);

  const stored = await dump();
  const readable = SECRETS.filter((secret) => stored.includes(secret) || log.lines.join('\n').includes(secret));
  expect(readable).toEqual([]);
  // What is not meant to be secret can be found.
  expect(['customer-7', 'acme', 'order 12', 'TypeError', 'E_CARD'].filter((one) => !stored.includes(one))).toEqual([]);
  expect(log.of('error')[0]).toMatch(
    /: TypeError E_CARD, whose text is kept from the log, as there is a codec\n|: TypeError E_CARD, whose text is kept from the log, as there is a codec$/,
  );
  // Who may read it, reads all of it.
  const [dead] = (await deliveries.list()).found;
  expect(dead.arguments).toEqual([CARD]);
  expect(dead.error).toMatchObject({ name: 'TypeError', code: 'E_CARD', message: `${TEXT}: ${CARD}` });
  expect(dead.history?.map(({ message }) => message)).toEqual([0, 1].map(() => `${TEXT}: ${CARD}`));
  await expect(deliveries.list({ errorText: 'card' })).rejects.toMatchObject({ code: 'EVENTS_QUERY_INVALID' });
  expect((await deliveries.list({ errorCode: 'E_CARD' })).found).toHaveLength(1);
  expect([dead.error?.cause?.message, dead.error?.stack]).toEqual([WHY, expect.stringContaining('sealed')]);
  expect(failures.map(({ error }) => (error as Error).message)).toEqual([0, 1].map(() => `${TEXT}: ${CARD}`));
  expect(called).toEqual([CARD, CARD]);
}
