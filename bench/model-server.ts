/**
 * The fake model server as a child of the benchmark: every conversation gets `STEPS` shell commands, then `finish`. Sessions are told apart by
 * their API key, and `wait-<n>-…` has every reply take n milliseconds. Over IPC: `{ take: true }` answers with the requests since the last time, and forgets them.
 */
import { setTimeout as sleep } from "node:timers/promises";

import { type FakeReply, type FakeRequest, inConversation, startFakeModelServer } from "@guildhall/core/testing";

/** One request as the benchmark reads it; nanoseconds of the machine's monotonic clock. */
export interface Exchange {
  session: string;
  arrivedNs: number;
  repliedNs: number;
  bytes: number;
}

const steps = Number(process.argv[2] ?? 20);
const replies: FakeReply[] = [
  ...Array.from({ length: steps }, (_, index): FakeReply => ({ calls: [{ tool: "bash", args: { command: `echo step ${index + 1}` } }] })),
  { calls: [{ tool: "finish", args: { done: true, summary: "all steps ran" } }] },
];
const script = inConversation(replies);
/** Who asked and how much, kept when the request itself is let go. */
const senders = new WeakMap<FakeRequest, { session: string; bytes: number }>();
const server = await startFakeModelServer({
  keepBodies: false,
  async reply(request) {
    const [, ms] = /wait-(\d+)-/.exec(String(request.headers["authorization"])) ?? [];
    if (ms !== undefined) await sleep(Number(ms));
    senders.set(request, { session: String(request.headers["authorization"]), bytes: Number(request.headers["content-length"]) });
    return script(request);
  },
});
process.send?.({ baseUrl: server.baseUrl });
process.on("message", () => {
  const taken = server.requests.splice(0);
  const exchanges = taken.map((request): Exchange => ({
    session: String(request.headers["authorization"] ?? ""),
    arrivedNs: Number(request.arrivedNs),
    repliedNs: Number(request.repliedNs ?? 0n),
    bytes: Number(request.headers["content-length"] ?? 0),
  }));
  process.send?.({ exchanges });
});
process.on("disconnect", () => process.exit(0));
