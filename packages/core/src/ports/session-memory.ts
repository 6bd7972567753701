import type { Event } from "@guildhall/protocol";

/** One remembered piece, as it was found. */
export interface Recollection {
  id: string;
  text: string;
  /** Where it comes from: `message 12`, `bash 40`, `remembered`, or the name of a source. */
  source: string;
  score: number;
  /** Milliseconds since the epoch. */
  at?: number;
}

export interface RecallRequest {
  query: string;
  /** Most tokens of `text`, by the memory's estimate. */
  tokens: number;
  /** Most pieces. Default 8. */
  limit?: number;
  /** Only of events up to this one: what came later is in the reader's view anyway. */
  throughSeq?: number;
  /** Answer from what is at hand: by words alone, without waiting for the text encoder. Default false. */
  quick?: boolean;
  signal?: AbortSignal;
}

export interface RecallResult {
  /** For a prompt, each piece with its id and where it comes from; empty when nothing is relevant. */
  text: string;
  items: Recollection[];
  /** What took no part, and why, in words: the text encoder, the knowledge service. Never the same as finding nothing. */
  degraded: string[];
}

export interface Remembered {
  id: string;
  /** It was there already, under this id. */
  known: boolean;
}

/**
 * A session's short-term memory, a fold over its log beside the agent: given the same events it remembers the same, so it survives restart and takeover
 * and is never the only copy. Contract: session-memory.contract.ts.
 */
export interface SessionMemory {
  /** Takes new events in, in order; those it has seen change nothing. Found lexically when it returns. */
  observe(events: readonly Event[]): void;
  /** What is relevant to the query, within the budget. Counts as a use of each piece. */
  recall(request: RecallRequest): Promise<RecallResult>;
  /** Keeps a text under the id; saying the same again keeps one. */
  remember(id: string, text: string, options?: { title?: string; pinned?: boolean }): Remembered;
  /** False when there is no such piece. */
  forget(id: string): boolean;
  close(): Promise<void>;
}

/** Knowledge from beyond the session, asked along with its memory. May be away: it rejects with `unavailable` then. */
export interface KnowledgeSource {
  readonly name: string;
  search(query: string, limit: number, signal: AbortSignal): Promise<Recollection[]>;
}
