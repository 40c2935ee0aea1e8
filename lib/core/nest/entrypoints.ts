import { Inject, Injectable } from '@nestjs/common';
import { SerializedGraph } from '@nestjs/core';
import type { DeliveryMode } from '../options/callback.options.js';
import type { Wrapper } from './internals.js';

/** A callback, as far as Devtools shows it. */
interface Entrypoint {
  readonly id: string;
  readonly wrapper: Wrapper;
  readonly method: string | symbol;
  readonly delivery: DeliveryMode;
}

/** Shows callbacks as entry points in Nest Devtools, beside routes; in applications started with `snapshot: true`. */
@Injectable()
export class Entrypoints {
  private readonly added = new Set<string>();

  constructor(@Inject(SerializedGraph) private readonly graph: SerializedGraph) {}

  add(event: string, { id, wrapper, method, delivery }: Entrypoint): void {
    // Without a snapshot the graph has no nodes, and nobody reads it.
    if (!this.graph.getNodeById(wrapper.id)) return;
    const key = `${wrapper.id}_${String(method)}_${event}`;
    if (this.added.has(key)) return;
    this.added.add(key);
    this.graph.insertEntrypoint(
      {
        id: key,
        type: 'event',
        methodName: String(method),
        className: wrapper.name as string,
        classNodeId: wrapper.id,
        metadata: { key: event, callback: id, delivery },
      },
      wrapper.id,
    );
  }
}
