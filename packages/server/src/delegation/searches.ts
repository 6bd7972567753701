import { createHash } from "node:crypto";

import { canonicalJson, type SessionKey, type SessionState } from "@guildhall/core";

/** The same search with the same result is spoken of from this time on, and refused from that. */
const SPOKEN_OF = 3;
const REFUSED = 6;
const MOST_SEARCHES = 500;

const REFUSAL = "the agents of this work have made this same search";
/** The same words each time: whoever watches for repetition must see one. */
const REMARK = "Agents of this work have made this same search before, with the same result.";

/** A search that the log tells of. */
export interface PastSearch {
  session: string;
  input: unknown;
  output: string;
}

/**
 * Searches that the agents of one piece of work have made: nobody notices alone that all of them look for the same. `past`: those of before
 * this daemon; asked for once, before the first answer.
 */
export class Searches {
  readonly #made = new Map<string, { result: string; times: number; by: ReadonlySet<string> }>();
  readonly #past: () => Promise<readonly PastSearch[]>;
  #known: Promise<void> | undefined;

  constructor(past: () => Promise<readonly PastSearch[]>) {
    this.#past = past;
  }

  /** Why this one is not made again. */
  async refusal(input: unknown): Promise<string | undefined> {
    await (this.#known ??= this.#remember());
    const made = this.#made.get(canonicalJson(input));
    return made !== undefined && made.by.size > 1 && made.times >= REFUSED
      ? `${REFUSAL} ${made.times} times, always with the same result; use that, or look for something else`
      : undefined;
  }

  /** Counts it; a remark once it was made too often. An agent that repeats itself alone is that one's matter. */
  seen(session: string, input: unknown, output: string): string | undefined {
    const key = canonicalJson(input);
    const result = createHash("sha256").update(output).digest("base64");
    const before = this.#made.get(key);
    const same = before?.result === result ? before : undefined;
    const times = (same?.times ?? 0) + 1;
    const by = new Set([...(same?.by ?? []), session]);
    this.#made.delete(key);
    this.#made.set(key, { result, times, by });
    for (const oldest of this.#made.keys()) {
      if (this.#made.size <= MOST_SEARCHES) break;
      this.#made.delete(oldest);
    }
    return times >= SPOKEN_OF && by.size > 1 ? REMARK : undefined;
  }

  async #remember(): Promise<void> {
    for (const { session, input, output } of await this.#past()) {
      if (!output.includes(REFUSAL)) this.seen(session, input, output.replace(`\n\n${REMARK}`, ""));
    }
  }
}

/** The searches in the logs of these sessions, one session after another. */
export async function pastSearches(
  keys: readonly SessionKey[],
  stateOf: (key: SessionKey) => Promise<SessionState>,
): Promise<PastSearch[]> {
  const states = await Promise.all(keys.map(async (key) => ({ key, state: await stateOf(key) })));
  return states.flatMap(({ key, state }) =>
    state.observations
      .toArray()
      .filter(({ tool }) => tool === "search")
      .flatMap(({ callId, output }) => {
        const input = parsed(state.calls.find(callId)?.arguments);
        return input === undefined ? [] : [{ session: key.session, input, output }];
      }),
  );
}

function parsed(json: string | undefined): unknown {
  try {
    return json === undefined ? undefined : JSON.parse(json);
  } catch {
    // A model wrote what is no JSON: that search was never made.
    return undefined;
  }
}
