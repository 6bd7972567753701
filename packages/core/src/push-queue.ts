/** Items pushed on one side and iterated on the other; what is pushed before it is read waits. For one reader. */
export interface PushQueue<T> {
  push(item: T): void;
  /** The iteration ends when it has read what was pushed. */
  end(): void;
  items(): AsyncIterable<T>;
}

export function createPushQueue<T>(): PushQueue<T> {
  const waiting: T[] = [];
  let ended = false;
  let wake = (): void => undefined;
  return {
    push(item) {
      waiting.push(item);
      wake();
    },
    end() {
      ended = true;
      wake();
    },
    async *items() {
      for (;;) {
        const item = waiting.shift();
        if (item !== undefined) yield item;
        else if (ended) return;
        else await new Promise<void>((resolve) => (wake = resolve));
      }
    },
  };
}
