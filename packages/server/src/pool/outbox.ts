/** Messages on their way into a stream, in order. */
export interface Outbox<T> {
  push(message: T): void;
  /** No more come; those pushed before still go out. */
  end(): void;
  items(): AsyncIterable<T>;
  /** Messages that nobody has taken yet. */
  readonly length: number;
}

export function createOutbox<T>(): Outbox<T> {
  const waiting: T[] = [];
  let ended = false;
  let wake = Promise.withResolvers<void>();
  return {
    push(message) {
      if (ended) return;
      waiting.push(message);
      wake.resolve();
    },
    end() {
      ended = true;
      wake.resolve();
    },
    get length() {
      return waiting.length;
    },
    async *items() {
      for (;;) {
        for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) yield next;
        if (ended) return;
        await wake.promise;
        wake = Promise.withResolvers();
      }
    },
  };
}
