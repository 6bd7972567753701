import { type Event, GuildError } from "@guildhall/core";

import { workOn } from "../run-session.ts";
import { RecordedWorld } from "./recorded-world.ts";
import { Recording, ReplayStopped } from "./recording.ts";

export interface Replay {
  /** The loop of today writes the same log, byte for byte apart from times. */
  identical: boolean;
  /** Events that were compared or taken as given. */
  events: number;
  /** Sequence of the first event that differs; 0: none. */
  firstDifference: number;
  /** What was recorded there and what is written now, in words. */
  difference: string;
}

export interface ReplayOptions {
  /** Id of the recorded session: the log names it in commands for people. */
  session: string;
  /** For recordings of other versions: the words that Guildhall itself chose do not count. Default false. */
  freeWording?: boolean;
}

/**
 * Runs a recorded session again: the loop decides anew at every step, while models, tools, sandbox, policy and clock say what they said,
 * crashes happen where they happened, and what came from outside comes in where it came in. Touches nothing. Never rejects for what a
 * recording holds; a log that ends in the middle of a turn is compared up to its end.
 */
export async function replaySession(events: readonly Event[], options: ReplayOptions): Promise<Replay> {
  // The log has no gaps, so that places are sequences.
  const gap = events.findIndex((event, index) => event.seq !== index + 1);
  if (gap >= 0) return differs(gap, gap + 1, `the recording has a gap before event ${gap + 1}`);
  const recording = new Recording(events, options.freeWording);
  for (;;) {
    recording.letIn();
    const next = recording.next();
    if (next === undefined) return { identical: true, events: events.length, firstDifference: 0, difference: "" };
    const { present } = recording;
    if (next.body.case !== "leaseTaken") return differs(present, next.seq, `recorded ${next.body.case} where now the turn is over`);
    recording.stopped = undefined;
    const world = new RecordedWorld(recording, options.session);
    try {
      await workOn(world.deps(), new AbortController().signal, world);
    } catch (error) {
      const { difference } = recording;
      if (difference !== undefined) return differs(recording.present, difference.seq, difference.message);
      if (!(error instanceof ReplayStopped))
        return differs(recording.present, recording.present + 1, `the replay failed: ${GuildError.from(error).line}`);
      if (error.why === "over") recording.present = events.length;
    }
    if (recording.present === present) return differs(present, next.seq, `recorded ${next.body.case}; now nothing is done`);
  }
}

function differs(compared: number, seq: number, difference: string): Replay {
  return { identical: false, events: compared, firstDifference: seq, difference };
}
