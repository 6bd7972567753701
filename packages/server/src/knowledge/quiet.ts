/** Tells work that can wait when nobody works: no sign of life for a while. */
export class Quiet {
  readonly #afterMs: number;
  #until = 0;

  constructor(afterMs: number) {
    this.#afterMs = afterMs;
  }

  /** Somebody works. */
  busy(): void {
    this.#until = performance.now() + this.#afterMs;
  }

  /** Resolves when it is quiet, or `hurry` aborts. Holds no process open. */
  async wait(hurry: AbortSignal): Promise<void> {
    for (let left = this.#until - performance.now(); left > 0 && !hurry.aborted; left = this.#until - performance.now()) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(done, left);
        timer.unref();
        hurry.addEventListener("abort", done, { once: true });
        function done(): void {
          clearTimeout(timer);
          hurry.removeEventListener("abort", done);
          resolve();
        }
      });
    }
  }
}
