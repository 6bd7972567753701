import type { RetrievalDocument } from "./document.ts";

interface Place {
  order: number;
  id: string;
}

/** A piece near another one in its thread. */
export interface Neighbour {
  id: string;
  /** Places between them: 1 is next to it. */
  distance: number;
  /** It stands before the other one. */
  before: boolean;
}

/** Documents by thread in their order, so that a piece knows what stands around it. */
export class Threads {
  readonly #threads = new Map<string, Place[]>();

  add({ id, thread, order }: RetrievalDocument): void {
    if (thread === undefined || order === undefined) return;
    let places = this.#threads.get(thread);
    if (places === undefined) this.#threads.set(thread, (places = []));
    places.splice(position(places, { order, id }), 0, { order, id });
  }

  remove({ id, thread, order }: RetrievalDocument): void {
    const places = thread === undefined ? undefined : this.#threads.get(thread);
    if (places === undefined || thread === undefined || order === undefined) return;
    const at = position(places, { order, id });
    if (places[at]?.id === id) places.splice(at, 1);
    if (places.length === 0) this.#threads.delete(thread);
  }

  /** Nothing of its thread stands behind it. */
  isLast({ id, thread }: RetrievalDocument): boolean {
    return thread !== undefined && this.#threads.get(thread)?.at(-1)?.id === id;
  }

  /** Those up to `distance` places away; nearest first is not promised. The document need not be there itself. */
  around({ id, thread, order }: RetrievalDocument, distance: number): Neighbour[] {
    const places = thread === undefined ? undefined : this.#threads.get(thread);
    if (places === undefined || order === undefined) return [];
    const at = position(places, { order, id });
    const there = places[at]?.id === id ? 1 : 0;
    const found: Neighbour[] = [];
    for (let away = 1; away <= distance; away += 1) {
      const [before, behind] = [places[at - away], places[at + there + away - 1]];
      if (before !== undefined) found.push({ id: before.id, distance: away, before: true });
      if (behind !== undefined) found.push({ id: behind.id, distance: away, before: false });
    }
    return found;
  }
}

/** Where the place is, or would be. */
function position(places: readonly Place[], { order, id }: Place): number {
  let low = 0;
  let high = places.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const one = places[middle];
    if (one !== undefined && (one.order < order || (one.order === order && one.id < id))) low = middle + 1;
    else high = middle;
  }
  return low;
}
