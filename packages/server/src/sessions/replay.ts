import { GuildError } from "@guildhall/core";

import type { SessionFile } from "./session-file.ts";

export interface ReplayResult {
  identical: boolean;
  events: number;
  /** 0: none differs. */
  firstDifference: number;
  difference: string;
}

/** Runs a session again over its recorded results and compares the logs, byte for byte apart from times. */
export async function replay(file: SessionFile): Promise<ReplayResult> {
  const { replaySession } = await import("@guildhall/agent");
  void replaySession;
  throw new GuildError("unsupported", `replay of ${file.session} is not there yet`);
}
