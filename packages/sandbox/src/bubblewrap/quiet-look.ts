/** Of the time of one thread, looks take this share at most. */
const REST = 50;
const SHORTEST_REST_MS = 2_000;

/**
 * Looks that take long and may wait, one at a time and with long rests: each `after` is followed by one look at that place, some seconds later
 * where the places are large. Nothing runs while nothing is due.
 */
export class QuietLook {
  readonly #due = new Map<string, () => Promise<unknown>>();
  #armed = false;
  #running: Promise<void> = Promise.resolve();
  #rest = SHORTEST_REST_MS;

  /** What a look cannot do is left to whoever looks at the end. */
  after(place: string, look: () => Promise<unknown>): void {
    this.#due.set(place, look);
    this.#arm();
  }

  /** What is due there will be done by somebody else; a look that is under way has ended when this resolves. */
  async drop(place: string): Promise<void> {
    this.#due.delete(place);
    await this.#running;
  }

  #arm(): void {
    if (this.#armed) return;
    this.#armed = true;
    setTimeout(() => {
      this.#running = this.#next().finally(() => {
        this.#armed = false;
        if (this.#due.size > 0) this.#arm();
      });
    }, this.#rest).unref();
  }

  async #next(): Promise<void> {
    const [first] = this.#due;
    if (first === undefined) return;
    this.#due.delete(first[0]);
    const began = performance.now();
    await first[1]().catch(() => undefined); // see `after`
    this.#rest = Math.max(SHORTEST_REST_MS, (performance.now() - began) * REST);
  }
}
