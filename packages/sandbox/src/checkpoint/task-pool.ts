/** Runs tasks side by side as long as their weights fit; a task heavier than the whole runs alone. */
export class TaskPool {
  readonly #capacity: number;
  readonly #running = new Set<Promise<void>>();
  #weight = 0;
  #failure: { error: unknown } | undefined;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** Resolves when the task has been started. Throws what an earlier task failed with. */
  async start(weight: number, task: () => Promise<void>): Promise<void> {
    while (this.#running.size > 0 && this.#weight + weight > this.#capacity) await Promise.race(this.#running);
    this.#check();
    this.#weight += weight;
    const running: Promise<void> = task()
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .then(() => {
        this.#weight -= weight;
        this.#running.delete(running);
      });
    this.#running.add(running);
  }

  /** Resolves when nothing runs any more. Throws what a task failed with. */
  async drain(): Promise<void> {
    while (this.#running.size > 0) await Promise.race(this.#running);
    this.#check();
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}
