import {
  type Context,
  diag,
  propagation,
  ROOT_CONTEXT,
  type TextMapGetter,
  type TextMapSetter,
} from '@opentelemetry/api';
import { isHeaderName, isHeaderText, MOST_HEADER_BYTES, sizeOfHeaders } from '../core/seams.js';
import type { EventHeaders } from '../index.js';
import { quietly } from './quietly.js';

const SETTER: TextMapSetter<Record<string, string>> = {
  set(headers, name, value) {
    if (isHeaderName(name) && isHeaderText(value)) headers[name.toLowerCase()] = value;
  },
};

const GETTER: TextMapGetter<EventHeaders> = {
  get: (headers, name) => headers[name.toLowerCase()],
  keys: (headers) => Object.keys(headers),
};

/** Writes the context of a trace into headers, by the propagator of the application's SDK. */
export function writeContext(of: Context, headers: Record<string, string>, withBaggage: boolean): void {
  const trace: Record<string, string> = {};
  propagation.inject(propagation.deleteBaggage(of), trace, SETTER);
  Object.assign(headers, trace);
  if (!withBaggage) return;
  const all: Record<string, string> = {};
  propagation.inject(of, all, SETTER);
  if (sizeOfHeaders({ ...headers, ...all }) <= MOST_HEADER_BYTES) Object.assign(headers, all);
  else diag.warn('nestjs-callbacks: baggage does not fit into the headers of an event, and was left out');
}

/** Reads the context that {@link writeContext} has written. It has nothing of the code that calls this. */
export const readContext = (headers: EventHeaders): Context =>
  quietly(() => propagation.extract(ROOT_CONTEXT, headers, GETTER)) ?? ROOT_CONTEXT;
