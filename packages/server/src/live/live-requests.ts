/** What one orchestrator asks of all others. `want`: it watches still; `anew`: it has nothing, or has missed something; `leave`: nobody watches any more. */
export interface LiveRequest {
  kind: "want" | "anew" | "leave";
  asker: string;
  sessions: string[];
}

/** As payloads of notices: as many sessions in each as fit. */
export function requestFrames({ kind, asker, sessions }: LiveRequest): string[] {
  const frames: string[] = [];
  let bytes = Infinity;
  for (const session of sessions) {
    const more = Buffer.byteLength(session) + 1;
    if (bytes + more > MOST_BYTES) {
      frames.push(`${kind}\n${asker}`);
      bytes = 64;
    }
    bytes += more;
    frames[frames.length - 1] += `\n${session}`;
  }
  return frames;
}

/** Undefined: of a release that says more. */
export function parseRequest(payload: string): LiveRequest | undefined {
  const [kind, asker, ...sessions] = payload.split("\n");
  if ((kind !== "want" && kind !== "anew" && kind !== "leave") || asker === undefined || !/^[0-9a-f]{32}$/.test(asker)) return undefined;
  return { kind, asker, sessions };
}

const MOST_BYTES = 7_800;
