import {
  type Clock,
  type Embedder,
  type EmbeddingModel,
  GuildError,
  type KnowledgeSource,
  type PartNotice,
  type SessionKey,
  type SessionMemory,
  type SessionPart,
  type SessionState,
  type Tool,
  type VectorIndex,
} from "@guildhall/core";

import type { Log } from "../daemon/log.ts";
import type { PartContext, PartFactory, PartPlace } from "../parts/session-parts.ts";
import { caughtUp, Follower } from "./follower.ts";
import type { Quiet } from "./quiet.ts";
import { toldIn, turnOf } from "./told.ts";

export interface MemoryPartDeps {
  clock: Pick<Clock, "now">;
  journal: Log;
  /** Undefined: recall is by words. */
  embedder(): Promise<Embedder | undefined>;
  /** Where a session's vectors are. */
  vectors(model: EmbeddingModel): Promise<VectorIndex>;
  /** Told of every step. */
  busy(): void;
  /** Embedding waits for it. */
  quiet: Quiet;
  /** Knowledge from beyond the session, asked along. */
  sources(place: PartPlace): KnowledgeSource[];
  /** A session's turn has ended. Returns at once. */
  ended(session: SessionKey, workspace: string): void;
}

/** Tokens and pieces that a turn is told by itself. */
const TOLD_TOKENS = 400;
const TOLD_PIECES = 4;
const INTRODUCTION =
  "You have a memory: what this session saw and what earlier sessions learned. `recall` searches it, `remember` keeps a fact or decision that will matter later, `forget` drops one that is wrong. Notices of kind memory are such pieces; they may be out of date: check what you build on.";

/** Each session's short-term memory: a fold over its log, beside the agent, with its tools and a short recall at the beginning of each turn. */
export function memoryPart(deps: MemoryPartDeps): PartFactory {
  return {
    name: "memory",
    introduction: () => INTRODUCTION,
    open: (context) => openMemory(deps, context),
  };
}

async function openMemory(deps: MemoryPartDeps, context: PartContext): Promise<SessionPart> {
  const { quiet } = deps;
  const { createMemoryTools, openSessionMemory } = await import("@guildhall/knowledge");
  const embedder = await deps.embedder();
  const closed = new AbortController();
  const wanted = new AbortController();
  const hurry = AbortSignal.any([closed.signal, wanted.signal]);
  const memory = openSessionMemory({
    clock: deps.clock,
    ...(embedder === undefined ? {} : { embedder, vectors: await deps.vectors(embedder.model) }),
    sources: deps.sources(context),
    pace: async () => {
      await quiet.wait(hurry);
      if (closed.signal.aborted) throw new GuildError("cancelled", "the session's memory was closed");
    },
  });
  const { session } = context;
  const follower = new Follower(memory);
  const following =
    session === undefined ? undefined : follower.follow(context.log, session, () => quiet.wait(closed.signal), closed.signal);
  following?.catch((error: unknown) =>
    deps.journal.warn(`${session?.session}: its memory reads no further: ${GuildError.from(error).line}`),
  );
  const asked = caughtUp(memory, follower);
  const tools = createMemoryTools(asked).map((tool) => (tool.name === "recall" ? whenCalled(tool, () => wanted.abort()) : tool));
  const teller = new Teller(asked);
  return {
    name: "memory",
    tools: () => tools,
    beforeStep: (state, signal) => {
      deps.busy();
      return teller.tell(state, signal);
    },
    turnEnded() {
      if (session !== undefined) deps.ended(session, context.workspace);
    },
    async close() {
      closed.abort();
      await following?.catch(() => undefined); // It was told above.
      await memory.close();
    },
  };
}

/** A search by meaning wants what is still to be embedded. */
function whenCalled(tool: Tool, called: () => void): Tool {
  return {
    ...tool,
    execute: (input, context) => {
      called();
      return tool.execute(input, context);
    },
  };
}

/** What a turn is told by itself: once when a person has spoken, and once when part of the history has left the view. */
class Teller {
  readonly #memory: SessionMemory;
  readonly #told = new Set<string>();
  /** The message and the condensation at which it was told last; undefined: not known yet. */
  #turn: string | undefined;

  constructor(memory: SessionMemory) {
    this.#memory = memory;
  }

  async tell(state: SessionState, signal: AbortSignal): Promise<PartNotice[]> {
    if (this.#turn === undefined) this.#turn = toldIn(state, this.#told);
    const turn = turnOf(state);
    if (turn === this.#turn) return [];
    this.#turn = turn;
    const query = lastMessage(state);
    if (query === "") return [];
    const throughSeq = Math.max(state.window.droppedThrough, state.window.maskedThrough);
    const found = await this.#memory.recall({ query, tokens: TOLD_TOKENS, limit: TOLD_PIECES, throughSeq, quick: true, signal });
    const fresh = found.items.filter((item) => !this.#told.has(item.id));
    for (const { id } of fresh) this.#told.add(id);
    const lines = fresh.map((item) => `- [${item.id}, ${item.source}] ${item.text.slice(0, 600).replaceAll("\n", "\n  ").toWellFormed()}`);
    const notes = found.degraded.map((one) => `(Not asked: ${one})`);
    if (lines.length === 0 && notes.length === 0) return [];
    const head = lines.length === 0 ? [] : ["What memory has on this, as it was told then (recall finds more):"];
    return [{ kind: "memory", text: [...head, ...lines, ...notes].join("\n") }];
  }
}

function lastMessage(state: SessionState): string {
  for (let at = state.items.length - 1; at >= 0; at -= 1) {
    const item = state.items.at(at);
    if (item?.kind === "message") return item.text.slice(0, 2_000);
  }
  return "";
}
