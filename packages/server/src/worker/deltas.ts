import type { Delta } from "@guildhall/protocol";

import { type DeltaKind, kindOf, toDelta, UnderWay } from "./under-way.ts";

/** What happens in running sessions before the log holds it: told to those who watch, in batches, and never stored. */
export interface DeltaHub {
  publish(session: string, kind: DeltaKind): void;
  /** What is published from now on, in batches; what is on its way already comes first. Call the result to end it. */
  subscribe(session: string, deliver: (deltas: Delta[]) => void): () => void;
  /** Forgets what was on its way: nobody works on the session. */
  clear(session: string): void;
  /**
   * What another process has published of a session that runs there, for those who watch it here; nothing of it is kept when nobody does. `anew`: it
   * is all that is on its way there, told from the beginning, whatever was heard of it before; false: it follows what was told so, and is left out
   * where that was not to this watch. Undefined: that process does not say.
   */
  relay(session: string, deltas: Delta[], anew?: boolean): void;
  isWatched(session: string): boolean;
  /** From now on `listener`, and nobody else, is told when somebody begins to watch a session and when the last one has left. */
  onWatched(listener: (session: string, on: boolean) => void): void;
}

/** Batches are delivered `batchMs` after their first delta: often enough for eyes, seldom enough to cost nothing. */
export function createDeltaHub(batchMs = 50): DeltaHub {
  const topics = new Map<string, Topic>();
  const here = new Map<string, UnderWay>();
  let watched: (session: string, on: boolean) => void = () => undefined;
  const flush = (topic: Topic): void => {
    clearTimeout(topic.timer);
    topic.timer = undefined;
    const deltas = topic.pending.map(toDelta);
    topic.pending = [];
    tell(topic, deltas);
  };
  return {
    publish(session, kind) {
      const underWay = here.get(session) ?? new UnderWay();
      here.set(session, underWay);
      underWay.note(kind);
      const topic = topics.get(session);
      if (topic === undefined) return;
      merge(topic.pending, kind);
      topic.timer ??= setTimeout(() => flush(topic), batchMs);
    },
    subscribe(session, deliver) {
      const known = topics.get(session);
      const topic: Topic = known ?? {
        subscribers: new Set(),
        pending: [],
        timer: undefined,
        there: new UnderWay(),
        begun: false,
        over: false,
      };
      topics.set(session, topic);
      // Else the newcomer would be told it twice.
      if (topic.timer !== undefined) flush(topic);
      topic.subscribers.add(deliver);
      const now = [...(here.get(session)?.told() ?? []), ...topic.there.told()];
      if (now.length > 0) deliver(now);
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
      here.delete(session);
      const topic = topics.get(session);
      if (topic === undefined) return;
      flush(topic);
      [topic.there, topic.begun, topic.over] = [new UnderWay(), false, true];
    },
    relay(session, deltas, anew) {
      const topic = topics.get(session);
      // Said to a watch before this one, and still on the way when that ended: what is told anew has it.
      if (topic === undefined || (anew === false && !topic.begun)) return;
      const before = topic.there;
      if (anew === true) topic.begun = true;
      if (anew === true) topic.there = new UnderWay();
      for (const delta of deltas) {
        const kind = kindOf(delta);
        if (kind !== undefined) topic.there.note(kind);
      }
      const told = anew === true ? topic.there.told(topic.over ? "anything" : before) : deltas;
      if (told.length > 0) topic.over = false;
      tell(topic, told);
    },
    isWatched: (session) => topics.has(session),
    onWatched: (listener) => void (watched = listener),
  };
}

interface Topic {
  subscribers: Set<(deltas: Delta[]) => void>;
  pending: DeltaKind[];
  timer: NodeJS.Timeout | undefined;
  /** What is on its way in the process where the session runs, if that is another. */
  there: UnderWay;
  /** That process has told all of it to this watch. */
  begun: boolean;
  /** What those who watch were shown is void, and nothing has come after it. */
  over: boolean;
}

function tell(topic: Topic, deltas: Delta[]): void {
  if (deltas.length === 0) return;
  for (const deliver of topic.subscribers) deliver(deltas);
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
  // That it waits for the model says that a step begins, which whatever follows at once must not hide.
  else if (last !== undefined && "waiting" in kind && "waiting" in last && last.waiting !== "model") last.waiting = kind.waiting;
  else pending.push({ ...kind });
}
