import { setTimeout as sleep } from "node:timers/promises";

import { type Clock, GuildError } from "@guildhall/core";
import type { Replica } from "@guildhall/knowledge";
import type { ExchangeOperationsRequest, ExchangeOperationsResponse } from "@guildhall/protocol";

import type { Log } from "../daemon/log.ts";

/** Another place that knows something. */
export interface Remote {
  name: string;
  /** Rejects as `unavailable` when it is away. `waitMs`: it may hold its answer back for so long, until it has news. */
  ask(
    request: ExchangeOperationsRequest,
    options: { timeoutMs: number; waitMs: number; signal?: AbortSignal },
  ): Promise<ExchangeOperationsResponse>;
}

/** What was heard of a remote last. */
export interface Heard {
  at: number;
  /** Highest positions that it knew. */
  known: Readonly<Record<string, bigint>>;
  replica: string;
}

export interface ExchangerDeps {
  replica(): Promise<Replica>;
  clock: Pick<Clock, "now">;
  journal: Pick<Log, "warn" | "info">;
  /** Pause before a remote that cannot hold an answer back is asked again. */
  pauseMs(): number;
}

/** A remote may hold its answer back so long; a line that died without a word is noticed a little later. */
const HELD_MS = 4_000;
const SLACK_MS = 4_000;
/** An exchange that somebody waits for, and one behind which the next attempt stands. */
const ASKED_MS = 30_000;
const ATTEMPT_MS = 10_000;
/** After a failure it is tried again after the first, the pause doubling up to the last: what healed is noticed within it. */
const AGAIN_MS = [250, 1_000] as const;
/** Writes of one go leave together. */
const TOGETHER_MS = 50;

/**
 * Keeps a replica in step with others. What is written here leaves at once, and what others write comes as soon as they have it (they hold their answer back until then);
 * while one is away nothing is lost, and it is tried again until it answers.
 */
export class Exchanger {
  readonly #deps: ExchangerDeps;
  readonly #heard = new Map<string, Heard>();
  readonly #closed = new AbortController();
  readonly #following: Array<Promise<void>> = [];

  constructor(deps: ExchangerDeps) {
    this.#deps = deps;
  }

  /** By the names of remotes. */
  get heard(): ReadonlyMap<string, Heard> {
    return this.#heard;
  }

  /** Exchanges once, to the end. */
  async once(remote: Remote): Promise<{ sent: number; received: number }> {
    return await this.#exchange(remote, { timeoutMs: ASKED_MS });
  }

  /** Goes on exchanging until it is closed. Returns at once; a remote that is away is told once each time that it goes. */
  follow(remote: Remote): void {
    this.#following.push(this.#follow(remote));
  }

  async close(): Promise<void> {
    this.#closed.abort();
    await Promise.all(this.#following);
  }

  async #follow(remote: Remote): Promise<void> {
    const { journal } = this.#deps;
    const { signal } = this.#closed;
    for (let failures = 0; !signal.aborted;) {
      try {
        await this.#exchange(remote, { timeoutMs: ATTEMPT_MS, signal });
        if (failures > 0) journal.info(`knowledge: ${remote.name} answers again`);
        failures = 0;
        await this.#hold(remote);
      } catch (error) {
        if (signal.aborted) return;
        if (failures === 0) journal.warn(`knowledge: ${remote.name}: ${GuildError.from(error).line}`);
        const [first, last] = AGAIN_MS;
        await pause(Math.min(last, first * 2 ** failures), signal);
        failures += 1;
      }
    }
  }

  /** Until either side has something that the other lacks. */
  async #hold(remote: Remote): Promise<void> {
    const { signal } = this.#closed;
    const replica = await this.#deps.replica();
    for (;;) {
      const written = new AbortController();
      const either = AbortSignal.any([signal, written.signal]);
      const here = replica.news(this.#heard.get(remote.name)?.known ?? {}, { signal: either });
      const began = performance.now();
      const there = this.#exchange(remote, { timeoutMs: HELD_MS + SLACK_MS, signal: either, waitMs: HELD_MS });
      try {
        const first = await Promise.race([here.then(() => "here" as const), there]);
        if (signal.aborted) return;
        if (first === "here") {
          await pause(TOGETHER_MS, signal);
          return;
        }
        // One of an older version answers at once whatever it is asked.
        if (first.received === 0 && performance.now() - began < HELD_MS / 2) {
          await Promise.race([here, pause(this.#deps.pauseMs(), either)]);
          return;
        }
      } finally {
        written.abort();
        // Given up, or told above.
        await there.catch(() => undefined);
      }
    }
  }

  async #exchange(
    remote: Remote,
    { waitMs = 0, ...options }: { timeoutMs: number; signal?: AbortSignal; waitMs?: number },
  ): Promise<{ sent: number; received: number }> {
    const replica = await this.#deps.replica();
    return await replica.synchronise(
      async (request, held) => {
        const answer = await remote.ask(request, { ...options, waitMs: held });
        this.#heard.set(remote.name, { at: this.#deps.clock.now().getTime(), known: answer.known, replica: answer.replica });
        return answer;
      },
      { waitMs },
    );
  }
}

/** Ends early, and without a word, when the signal aborts; holds no process open. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal, ref: false }).catch(() => undefined); // Aborted: whoever waits looks at the signal.
}
