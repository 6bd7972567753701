/** Most terms stand in one document or two: up to so many, plain arrays take a third of the room. */
const SMALL = 8;

/**
 * Where a term stands: document numbers, ascending, and weighted frequencies side by side. Removed documents stay until they are renumbered
 * away.
 */
export class Postings {
  ordinals: Uint32Array | number[] = [];
  frequencies: Float32Array | number[] = [];
  length = 0;
  /** How many of them are of documents that are still there. */
  live = 0;

  /** For a document that is newer than all in it. */
  push(ordinal: number, frequency: number): void {
    this.#grow();
    this.ordinals[this.length] = ordinal;
    this.frequencies[this.length] = frequency;
    this.length += 1;
    this.live += 1;
  }

  /** Adds to a document's frequency, wherever it stands; true when it was not there before. Cheap for recent documents. */
  raise(ordinal: number, by: number): boolean {
    let at = this.length;
    while (at > 0 && (this.ordinals[at - 1] ?? 0) > ordinal) at -= 1;
    if (at > 0 && this.ordinals[at - 1] === ordinal) {
      this.frequencies[at - 1] = (this.frequencies[at - 1] ?? 0) + by;
      return false;
    }
    this.#grow();
    for (let from = this.length; from > at; from -= 1) {
      this.ordinals[from] = this.ordinals[from - 1] ?? 0;
      this.frequencies[from] = this.frequencies[from - 1] ?? 0;
    }
    this.ordinals[at] = ordinal;
    this.frequencies[at] = by;
    this.length += 1;
    this.live += 1;
    return true;
  }

  #grow(): void {
    if (this.length < this.ordinals.length) return;
    if (this.length < SMALL) {
      // Exactly one more: there is one of these for each rare word.
      this.ordinals = [...this.ordinals, 0];
      this.frequencies = [...this.frequencies, 0];
      return;
    }
    const capacity = this.length * 2;
    const ordinals = new Uint32Array(capacity);
    ordinals.set(this.ordinals);
    this.ordinals = ordinals;
    const frequencies = new Float32Array(capacity);
    frequencies.set(this.frequencies);
    this.frequencies = frequencies;
  }

  /** `renumbered` gives each document's new number, −1 where it is gone. */
  renumber(renumbered: Int32Array): void {
    let to = 0;
    for (let from = 0; from < this.length; from += 1) {
      const ordinal = renumbered[this.ordinals[from] ?? 0] ?? -1;
      if (ordinal < 0) continue;
      this.ordinals[to] = ordinal;
      this.frequencies[to] = this.frequencies[from] ?? 0;
      to += 1;
    }
    this.length = to;
  }
}
