import { type Append, type Event, type EventLog, GuildError, type Lease, type SessionKey } from "@guildhall/core";

import type { Recording } from "./recording.ts";

/** The log that a replayed run sees: it grows as the recorded one did, and accepts only what that one holds. */
export function replayLog(recording: Recording): EventLog {
  const no = async (): Promise<never> => {
    throw new GuildError("unsupported", "a replay has one session and no other log");
  };
  return {
    createSession: no,
    getSession: no,
    listSessions: no,
    appendInput: no,
    append: async ({ expectedSeq, epoch, actor, events }: Append): Promise<Event[]> => {
      const { present } = recording;
      if (expectedSeq !== present || recording.letIn().length > 0) {
        throw new GuildError("sequence_moved", "the log has moved");
      }
      const accepted = recording.accept(events, epoch, actor);
      return [...accepted, ...recording.letIn(seenBeforeNext(recording))];
    },
    read: async (_key: SessionKey, fromSeq: number, limit: number): Promise<Event[]> =>
      recording.events.slice(fromSeq - 1, Math.min(fromSeq - 1 + limit, recording.present)),
    watch: async function* (_key: SessionKey, fromSeq: number, signal: AbortSignal): AsyncGenerator<Event[]> {
      const ended = Promise.withResolvers<void>();
      signal.addEventListener("abort", () => ended.resolve(), { once: true });
      for (let next = fromSeq; !signal.aborted;) {
        const moved = recording.moved();
        const events = recording.events.slice(next - 1, recording.present);
        next += events.length;
        if (events.length > 0) yield events;
        else await Promise.race([moved, ended.promise]);
      }
    },
    acquireLease: async (key: SessionKey, owner: string): Promise<Lease> => ({
      ...key,
      owner,
      epoch: recording.next()?.epoch ?? 0,
      expires: new Date(8.64e15),
    }),
    renewLease: async (lease: Lease): Promise<Lease> => lease,
    releaseLease: async (): Promise<void> => undefined,
    close: async (): Promise<void> => undefined,
  };
}

/** What the next step of the recorded run had seen when it began; what came later is let in while it goes on. */
function seenBeforeNext(recording: Recording): number {
  const [first, second] = recording.upcoming();
  const next = first?.body.case === "checkpointMade" ? second : first;
  switch (next?.body.case) {
    case "modelReplied":
      return next.body.value.seenSeq;
    case "modelFailed":
    case "leaseTaken":
    case "checkpointMade":
    case undefined:
      return 0;
    case "actionFinished": {
      // An observation of a running call comes from running it; any other follows from what came in.
      const { callId } = next.body.value;
      const happened = recording.events.slice(0, recording.present);
      return happened.some(({ body }) => body.case === "actionStarted" && body.value.callId === callId) ? 0 : Infinity;
    }
    default:
      return Infinity;
  }
}
