import type { Event } from "@guildhall/protocol";

/** Which events of a session count: a rewind leaves some behind, and may go back to one that an earlier rewind had left. */
export class Branches {
  /** The event before each, on its branch. */
  readonly #parents = new Map<number, number>();
  #head = 0;
  #seen = 0;

  get seen(): number {
    return this.#seen;
  }

  /** False for an event that was there before. */
  take(event: Event): boolean {
    if (event.seq <= this.#seen) return false;
    this.#seen = event.seq;
    const rewound = event.body.case === "sessionRewound" && event.body.value.toSeq < event.seq;
    this.#parents.set(event.seq, rewound && event.body.case === "sessionRewound" ? event.body.value.toSeq : this.#head);
    this.#head = event.seq;
    return true;
  }

  /** Sequences that count now. */
  counting(): Set<number> {
    const path = new Set<number>();
    for (let at = this.#head; at > 0 && !path.has(at); at = this.#parents.get(at) ?? 0) path.add(at);
    return path;
  }
}
