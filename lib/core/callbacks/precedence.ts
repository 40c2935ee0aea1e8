/** Something that has a place in an order: a callback, or the edge of several. */
export interface Place {
  /** Where it was given; the edge of several was given nowhere. */
  readonly index: number;
  /** How many of those before it are not taken yet. */
  waitsFor: number;
  isTaken: boolean;
  readonly predecessors: Place[];
  readonly successors: Place[];
}

/** Puts things in order of which some must come before others, and which else stay as they were given. */
export class Precedence<T> {
  private readonly places: Place[];
  private readonly byThing: Map<T, Place>;

  constructor(private readonly things: readonly T[]) {
    this.places = things.map((_, index) => placeAt(index));
    this.byThing = new Map(things.map((thing, index) => [thing, this.places[index]]));
  }

  placeOf(thing: T): Place {
    return this.byThing.get(thing)!;
  }

  /** A place of nothing: what is before it comes before all that is behind it. */
  addPlace(): Place {
    const place = placeAt(-1);
    this.places.push(place);
    return place;
  }

  add(first: Place, second: Place): void {
    first.successors.push(second);
    second.predecessors.push(first);
    second.waitsFor++;
  }

  /** Takes the first that waits for none of the rest, again and again. `undefined` when some wait for each other. */
  sorted(): T[] | undefined {
    const ready = new Smallest();
    const order: T[] = [];
    const free = this.places.filter(({ waitsFor }) => waitsFor === 0);
    const take = (place: Place) => {
      place.isTaken = true;
      for (const next of place.successors) if (--next.waitsFor === 0) free.push(next);
    };
    for (;;) {
      for (let place = free.pop(); place; place = free.pop()) {
        if (place.index < 0) take(place);
        else ready.add(place.index);
      }
      const index = ready.take();
      if (index === undefined) break;
      order.push(this.things[index]);
      take(this.places[index]);
    }
    return order.length === this.things.length ? order : undefined;
  }

  /** One circle among those that wait for each other, from one of them to itself. */
  circle(): T[] {
    const path: Place[] = [];
    const seen = new Map<Place, number>();
    const before = (place: Place) => place.predecessors.find(({ isTaken }) => !isTaken)!;
    let at = this.places.find(({ index, isTaken }) => index >= 0 && !isTaken)!;
    while (!seen.has(at)) {
      seen.set(at, path.length);
      path.push(at);
      at = before(at);
      if (at.index < 0) at = before(at);
    }
    return [at, ...path.slice(seen.get(at)).toReversed()].map(({ index }) => this.things[index]);
  }
}

const placeAt = (index: number): Place => ({
  index,
  waitsFor: 0,
  isTaken: false,
  predecessors: [],
  successors: [],
});

/** Some numbers, of which the smallest is at hand: a binary heap. */
class Smallest {
  private readonly heap: number[] = [];

  add(number: number): void {
    const { heap } = this;
    let at = heap.length;
    for (let above = (at - 1) >> 1; at > 0 && heap[above] > number; above = (at - 1) >> 1) {
      heap[at] = heap[above];
      at = above;
    }
    heap[at] = number;
  }

  take(): number | undefined {
    const { heap } = this;
    const smallest = heap[0];
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return smallest;
    let at = 0;
    for (let below = 1; below < heap.length; below = 2 * at + 1) {
      if (heap[below + 1] < heap[below]) below++;
      if (heap[below] >= last) break;
      heap[at] = heap[below];
      at = below;
    }
    heap[at] = last;
    return smallest;
  }
}
