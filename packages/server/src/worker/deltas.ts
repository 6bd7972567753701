import { create } from "@bufbuild/protobuf";
import { type Delta, DeltaSchema } from "@guildhall/protocol";

/** What happens in running sessions before the log holds it: told to those who watch, in batches, and never stored. */
export interface DeltaHub {
  publish(session: string, kind: DeltaKind): void;
  /** What is published from now on, in batches; what the session waits for just now comes first. Call the result to end it. */
  subscribe(session: string, deliver: (deltas: Delta[]) => void): () => void;
  /** Forgets what the session waited for. */
  clear(session: string): void;
  /** What another process has published of a session that runs there, for those who watch it here; nothing of it is kept when nobody does. */
  relay(session: string, deltas: Delta[]): void;
  isWatched(session: string): boolean;
  /** From now on `listener`, and nobody else, is told when somebody begins to watch a session and when the last one has left. */
  onWatched(listener: (session: string, on: boolean) => void): void;
}

export type DeltaKind = { text: string } | { reasoning: string } | { output: string; callId: string } | { waiting: string };

/** Batches are delivered `batchMs` after their first delta: often enough for eyes, seldom enough to cost nothing. */
export function createDeltaHub(batchMs = 50): DeltaHub {
  const topics = new Map<string, Topic>();
  const waiting = new Map<string, string>();
  let watched: (session: string, on: boolean) => void = () => undefined;
  const flush = (topic: Topic): void => {
    topic.timer = undefined;
    const deltas = topic.pending.map(toDelta);
    topic.pending = [];
    for (const deliver of topic.subscribers) deliver(deltas);
  };
  return {
    publish(session, kind) {
      if ("waiting" in kind) waiting.set(session, kind.waiting);
      const topic = topics.get(session);
      if (topic === undefined) return;
      merge(topic.pending, kind);
      topic.timer ??= setTimeout(() => flush(topic), batchMs);
    },
    subscribe(session, deliver) {
      const known = topics.get(session);
      const topic: Topic = known ?? { subscribers: new Set(), pending: [], timer: undefined, waitingThere: undefined };
      topics.set(session, topic);
      topic.subscribers.add(deliver);
      const now = topic.waitingThere ?? waiting.get(session);
      if (now !== undefined) deliver([toDelta({ waiting: now })]);
      if (known === undefined) watched(session, true);
      return () => {
        topic.subscribers.delete(deliver);
        if (topic.subscribers.size > 0 || topics.get(session) !== topic) return;
        clearTimeout(topic.timer);
        topics.delete(session);
        watched(session, false);
      };
    },
    clear(session) {
      waiting.delete(session);
      const topic = topics.get(session);
      if (topic !== undefined) topic.waitingThere = undefined;
    },
    relay(session, deltas) {
      const topic = topics.get(session);
      if (topic === undefined) return;
      for (const { kind } of deltas) if (kind.case === "waiting") topic.waitingThere = kind.value;
      for (const deliver of topic.subscribers) deliver(deltas);
    },
    isWatched: (session) => topics.has(session),
    onWatched: (listener) => void (watched = listener),
  };
}

interface Topic {
  subscribers: Set<(deltas: Delta[]) => void>;
  pending: DeltaKind[];
  timer: NodeJS.Timeout | undefined;
  /** What the session waits for in the process where it runs, if that is another. */
  waitingThere: string | undefined;
}

/** Text that is shown while it comes; of more than this only the end is. */
const longestText = 32_768;

function merge(pending: DeltaKind[], kind: DeltaKind): void {
  const last = pending.at(-1);
  const join = (before: string, text: string): string => (before + text).slice(-longestText);
  if (last !== undefined && "text" in kind && "text" in last) last.text = join(last.text, kind.text);
  else if (last !== undefined && "reasoning" in kind && "reasoning" in last) last.reasoning = join(last.reasoning, kind.reasoning);
  else if (last !== undefined && "output" in kind && "output" in last && last.callId === kind.callId)
    last.output = join(last.output, kind.output);
  else if (last !== undefined && "waiting" in kind && "waiting" in last) last.waiting = kind.waiting;
  else pending.push({ ...kind });
}

function toDelta(kind: DeltaKind): Delta {
  if ("text" in kind) return create(DeltaSchema, { kind: { case: "text", value: kind.text } });
  if ("reasoning" in kind) return create(DeltaSchema, { kind: { case: "reasoning", value: kind.reasoning } });
  if ("waiting" in kind) return create(DeltaSchema, { kind: { case: "waiting", value: kind.waiting } });
  return create(DeltaSchema, { kind: { case: "output", value: { callId: kind.callId, text: kind.output } } });
}
