import { types } from 'node:util';
import type { Json } from '../engine/delivery.js';
import { argumentsUnstorable, deliveryGone, deliveryUnreadable } from '../errors/delivery-errors.js';
import { isSafe, unescape, writeString } from './stored-text.js';
import { fieldOf, pathOf, type Refuse, refuseHidden, refuseMore, tagOf } from './unstorable.js';
import { isBuiltIn, refuseInnerState } from './unstorable-classes.js';

/**
 * How many values may lie within each other. Far from what the stack of any engine takes, of which a `Map` needs three times as
 * much, and the same however the code is compiled.
 */
const DEEPEST = 500;

/** Stands for a value that JSON has no word for: `{ "$type": "Date", "value": "2026-01-31T00:00:00.000Z" }`. */
interface Tagged {
  readonly $type: string;
  readonly value?: Json;
}

/**
 * Writes arguments as readable JSON that any engine can hold, also in a Postgres `jsonb`. {@link readArguments} makes equal
 * arguments of it. A class event is stored as its fields.
 *
 * @throws EVENTS_ARGUMENTS_UNSTORABLE for a value that would not arrive equal: a function, a cycle, an instance of a class
 */
export function storeArguments(event: string, args: readonly unknown[], isClassEvent: boolean): readonly Json[] {
  return args.map((argument, index) => {
    const refuse: Refuse = (path, what) => {
      throw argumentsUnstorable(event, isClassEvent ? undefined : index + 1, path, what);
    };
    if (!isClassEvent) return write(argument, '', [], refuse);
    refuseInnerState(argument as object, refuse);
    return fieldsOf(argument as object, '', [argument as object], refuse);
  });
}

/**
 * Reads the arguments that {@link storeArguments} has written.
 *
 * @param eventClass the class of a class event; its instance is made without calling the constructor
 * @throws EVENTS_DELIVERY_UNREADABLE
 */
export function readArguments(event: string, stored: readonly Json[], eventClass?: Function): unknown[] {
  if (!Array.isArray(stored)) throw deliveryGone(event);
  try {
    const args = stored.map(read);
    return eventClass ? args.map((fields) => withPrototype(fields as object, eventClass.prototype as object)) : args;
  } catch (cause) {
    throw deliveryUnreadable(event, cause);
  }
}

type Write = (value: any, path: string, within: readonly object[], refuse: Refuse) => Json;

interface Writer {
  /** Its class, where that is not of JavaScript itself. */
  readonly type?: Function;
  /** A property that every such value has by itself. */
  readonly own?: string;
  readonly is: (value: object) => boolean;
  readonly write: Write;
}

/**
 * Found by the name of the constructor, since a value may come from another realm. A subclass has another name: it would
 * arrive as its base.
 */
const WRITERS: Record<string, Writer> = {
  Array: { own: 'length', is: Array.isArray, write: (value: unknown[], ...rest) => items(value, '', ...rest) },
  Object: {
    is: (value) => Object.getPrototypeOf(Object.getPrototypeOf(value)) === null && tagOf(value) === 'Object',
    write: fieldsOf,
  },
  Date: {
    is: types.isDate,
    write: (value: Date) => ({ $type: 'Date', value: Number.isNaN(value.getTime()) ? null : value.toISOString() }),
  },
  Map: {
    is: types.isMap,
    write: (value: Map<unknown, unknown>, path, within, refuse) => ({
      $type: 'Map',
      value: [...value].map(([key, item], index) => [
        write(key, `${path}.keys()[${index}]`, within, refuse),
        write(item, `${path}.values()[${index}]`, within, refuse),
      ]),
    }),
  },
  Set: {
    is: types.isSet,
    write: (value: Set<unknown>, ...rest) => ({ $type: 'Set', value: items([...value], '.values()', ...rest) }),
  },
  RegExp: {
    own: 'lastIndex',
    is: types.isRegExp,
    write: ({ source, flags, lastIndex }: RegExp, path, _, refuse) =>
      lastIndex === 0
        ? { $type: 'RegExp', value: [writeString(source), flags] }
        : refuse(`${path}.lastIndex`, `${lastIndex}, and would arrive as 0`),
  },
  URL: { type: URL, is: (value) => tagOf(value) === 'URL', write: ({ href }: URL) => ({ $type: 'URL', value: href }) },
  Buffer: {
    type: Buffer,
    is: Buffer.isBuffer,
    write: (value: Buffer) => ({ $type: 'Buffer', value: value.toString('base64') }),
  },
};

const TYPED_ARRAYS = [
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
] as const;
for (const { name } of TYPED_ARRAYS) {
  WRITERS[name] = {
    is: types.isTypedArray,
    write: ({ buffer, byteOffset, byteLength }: NodeJS.TypedArray) => ({
      $type: name,
      value: Buffer.from(buffer, byteOffset, byteLength).toString('base64'),
    }),
  };
}

const READERS: Record<string, (value: any) => unknown> = {
  undefined: () => undefined,
  String: unescape,
  Number: (value: string) => (value === '-0' ? -0 : Number(value)),
  BigInt: (value: string) => BigInt(value),
  Object: (entries: [Json, Json][]) => fromEntries(entries.map(([key, value]) => [read(key) as string, value])),
  'Object without prototype': (fields: Json) => withPrototype(read(fields) as object, null),
  Date: (value: string | null) => new Date(value ?? NaN),
  Map: (entries: [Json, Json][]) => new Map(entries.map(([key, value]) => [read(key), read(value)])),
  Set: (values: Json[]) => new Set(values.map(read)),
  RegExp: ([source, flags]: [Json, string]) => new RegExp(read(source) as string, flags),
  URL: (value: string) => new URL(value),
  Buffer: (value: string) => Buffer.from(value, 'base64'),
  ...Object.fromEntries(
    TYPED_ARRAYS.map((type) => [
      type.name,
      (value: string) => new type(Uint8Array.from(Buffer.from(value, 'base64')).buffer),
    ]),
  ),
};

function write(value: unknown, path: string, within: readonly object[], refuse: Refuse): Json {
  switch (typeof value) {
    case 'string':
      return writeString(value);
    case 'boolean':
      return value;
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0)
        ? value
        : { $type: 'Number', value: Object.is(value, -0) ? '-0' : String(value) };
    case 'bigint':
      return { $type: 'BigInt', value: String(value) };
    case 'undefined':
      return { $type: 'undefined' };
    case 'function':
    case 'symbol':
      return refuse(path, `a ${typeof value}`);
    default:
      return value === null ? null : writeObject(value as object, path, within, refuse);
  }
}

function writeObject(value: object, path: string, within: readonly object[], refuse: Refuse): Json {
  if (within.includes(value)) return refuse(path, 'a cycle, which leads back to what holds it');
  if (within.length === DEEPEST) return refuse('', `nested more than ${DEEPEST} values deep`);
  const inside = [...within, value];
  const prototype = Object.getPrototypeOf(value) as object | null;
  if (!prototype) return { $type: 'Object without prototype', value: fieldsOf(value, path, inside, refuse) };
  const { name } = (prototype.constructor ?? {}) as { name?: unknown };
  const writer = writerFor(prototype);
  if (writer?.is(value)) {
    if (writer.write !== fieldsOf) refuseMore(value, path, refuse, writer.own);
    return writer.write(value, path, inside, refuse);
  }
  // Math and JSON are said to be made by Object, too.
  const found = name === 'Object' ? tagOf(value) : name;
  return refuse(path, `an instance of ${(typeof found === 'string' && found) || 'an unnamed class'}`);
}

const writers = new WeakMap<object, Writer | false>();

/** The writer for the values of a prototype, which may be of another realm, but not of somebody's class of that name. */
function writerFor(prototype: object): Writer | undefined {
  let writer = writers.get(prototype);
  if (writer === undefined) {
    const { constructor: type } = prototype;
    const named = typeof type === 'function' && Object.hasOwn(WRITERS, type.name) ? WRITERS[type.name] : undefined;
    const isOfIt = named?.type ? named.type === type : named && isBuiltIn(type);
    writers.set(prototype, (writer = (isOfIt && named) || false));
  }
  return writer || undefined;
}

function fieldsOf(value: object, path: string, within: readonly object[], refuse: Refuse): Json {
  const names = Object.keys(value);
  refuseHidden(value, path, refuse);
  const entries = names.map((name): [string, Json] => {
    const at = pathOf(path, name);
    return [name, write(fieldOf(value, name, at, refuse), at, within, refuse)];
  });
  const isPlain = names.every((name) => name !== '$type' && isSafe(name));
  return isPlain
    ? (fromEntries(entries, (item) => item) as Json)
    : { $type: 'Object', value: entries.map(([name, item]) => [writeString(name), item]) };
}

/** @param of by which way one gets from the value at `path` to the items */
const items = (values: readonly unknown[], of: string, path: string, within: readonly object[], refuse: Refuse) =>
  Array.from(values, (item, index) => write(item, `${path}${of}[${index}]`, within, refuse));

function read(stored: Json): unknown {
  if (typeof stored !== 'object' || stored === null) return stored;
  if (Array.isArray(stored)) return stored.map(read);
  if (!Object.hasOwn(stored, '$type')) return fromEntries(Object.entries(stored) as [string, Json][]);
  const { $type, value } = stored as unknown as Tagged;
  const reader = Object.hasOwn(READERS, $type) ? READERS[$type] : undefined;
  if (!reader) throw new TypeError(`there is no type "${String($type)}"`);
  return reader(value);
}

/** Makes an object of its fields. Defines them rather than assigns: one may be called `__proto__`. */
function fromEntries(entries: readonly [string, Json][], each: (value: Json) => unknown = read): object {
  const fields = {};
  for (const [name, value] of entries) {
    Object.defineProperty(fields, name, { value: each(value), writable: true, enumerable: true, configurable: true });
  }
  return fields;
}

const withPrototype = (fields: object, prototype: object | null): object =>
  Object.create(prototype, Object.getOwnPropertyDescriptors(fields)) as object;
