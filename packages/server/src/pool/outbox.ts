import { GuildError } from "@guildhall/core";

/** Messages on their way into a stream, in order. */
export interface Outbox<T> {
  push(message: T): void;
  /** No more come; those pushed before still go out. */
  end(): void;
  /** Throws `resource_exhausted` once too many have waited. */
  items(): AsyncIterable<T>;
  /** Messages that nobody has taken yet. */
  readonly length: number;
}

export interface OutboxOptions<T> {
  /** Messages that may wait; one more, and all of them are dropped and the stream is over. */
  limit?: number;
  /** What a message is about: one that waits still is left out when a later one says the same anew. */
  about?(message: T): string | undefined;
  /** Called once when too many wait: whoever should take them may never come to hear of it. */
  overflowed?(): void;
}

export function createOutbox<T>({ limit = MOST_MESSAGES, about, overflowed }: OutboxOptions<T> = {}): Outbox<T> {
  let waiting: Array<{ message: T; about: string | undefined }> = [];
  let ended = false;
  let failure: GuildError | undefined;
  let wake = Promise.withResolvers<void>();
  const end = (): void => {
    ended = true;
    wake.resolve();
  };
  return {
    push(message) {
      if (ended) return;
      const topic = about?.(message);
      const earlier = topic === undefined ? -1 : waiting.findIndex((one) => one.about === topic);
      if (earlier >= 0) waiting.splice(earlier, 1);
      if (waiting.length < limit) {
        waiting.push({ message, about: topic });
        return wake.resolve();
      }
      waiting = [];
      failure = new GuildError("resource_exhausted", `${limit} messages wait for a reader that takes none`, { remedy: "join again" });
      end();
      overflowed?.();
    },
    end,
    get length() {
      return waiting.length;
    },
    async *items() {
      for (;;) {
        for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) yield next.message;
        if (failure !== undefined) throw failure;
        if (ended) return;
        await wake.promise;
        wake = Promise.withResolvers();
      }
    },
  };
}

/** Far more than either side of the pool ever has to say at once: a few for each task under way. */
const MOST_MESSAGES = 4_096;
