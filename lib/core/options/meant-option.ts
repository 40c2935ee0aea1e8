import { nearest } from '../errors/did-you-mean.js';

/** The words of other libraries, and what the option is called here: its last part, or with the value that was meant. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  async: "delivery: 'background'",
  background: "delivery: 'background'",
  durable: "delivery: 'durable'",
  suppresserrors: 'optional',
  ignoreerrors: 'optional',
  retries: 'attempts',
  maxretries: 'attempts',
  maxattempts: 'attempts',
  retrylimit: 'attempts',
  tries: 'attempts',
  retrydelay: 'delayMs',
  retrybackoff: 'backoff',
  ttl: 'timeoutMs',
  parallelism: 'concurrency',
  parallel: 'concurrency',
  limit: 'concurrency',
  queuesize: 'maxQueued',
  fifo: 'ordered',
  sequential: 'ordered',
  previously: 'formerly',
  aliases: 'formerly',
  transaction: 'tx',
  trx: 'tx',
  t: 'tx',
  manager: 'tx',
  entitymanager: 'tx',
  em: 'tx',
  queryrunner: 'tx',
  client: 'tx',
  session: 'tx',
  connection: 'tx',
  req: 'request',
  ctx: 'request',
  context: 'request',
  orderingkey: 'key',
  partitionkey: 'key',
  groupid: 'key',
  group: 'key',
  startafter: 'delayMs',
  jobid: 'id',
  deduplicationid: 'id',
  idempotencykey: 'id',
  url: 'engine',
  connectionstring: 'engine',
  database: 'engine',
  store: 'engine',
  onfailure: 'onError',
  errorhandler: 'onError',
  gracefulshutdowntimeout: 'shutdownTimeout',
};

/** The options of one object, without those of the objects in it. */
export const onLevel = (prefix: string, known: readonly string[]) =>
  known.filter((other) => other.startsWith(prefix) && !other.slice(prefix.length).includes('.'));

const last = (option: string) => option.slice(option.lastIndexOf('.') + 1);

/**
 * Says which option was probably meant by one that is not known: by its words, by those of other libraries, or by a slip;
 * nothing where nobody can tell.
 *
 * @param prefix of the object that it was found in, as in `retry.`
 */
export function meantOption(option: string, prefix: string, known: readonly string[]): string | undefined {
  const found = option.slice(prefix.length).toLowerCase();
  const level = onLevel(prefix, known);
  const named = (name: string, among: readonly string[]) =>
    among.filter((other) => last(other).toLowerCase() === name.toLowerCase());
  const begun = (least: number, among: readonly string[]) =>
    among.filter((other) => found.length >= least && last(other).toLowerCase().startsWith(found));
  const [name, value] = Object.hasOwn(ELSEWHERE, found) ? ELSEWHERE[found].split(': ') : [];
  const meant = [
    named(found, level),
    ...(name === undefined ? [] : [named(name, level), named(name, known)]),
    begun(3, level),
    named(found, known),
    begun(5, known),
    [nearest(option, known) ?? []].flat(),
  ].find((options) => options.length > 0);
  if (!meant) return undefined;
  const texts = meant.map((other) => (value !== undefined && other === name ? `${other}: ${value}` : `"${other}"`));
  return `Did you mean ${texts.join(' or ')}?`;
}
