/**
 * The fake model server as a process of its own, for benchmarks and whole-system tests:
 * `node fake-model-server.cli.ts [--port N] [--steps N] [--replies FILE] [--no-bodies]`.
 * Prints its OpenAI base URL as the first line and serves until it gets SIGTERM or SIGINT, or its standard input ends with `--until-eof`.
 * Without `--replies` (a JSON list of FakeReply, answered by the position in each conversation) it plays `--steps` (default 20) calls of
 * `bash`, then `finish`. `GET /fake/requests` tells when each request came and was answered, in nanoseconds of this machine's monotonic clock.
 */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";

import type { FakeReply } from "./fake-model-server-reply.ts";
import { inConversation, startFakeModelServer } from "./fake-model-server.ts";

const { values } = parseArgs({
  options: {
    port: { type: "string", default: "0" },
    steps: { type: "string", default: "20" },
    replies: { type: "string" },
    "no-bodies": { type: "boolean", default: false },
    "until-eof": { type: "boolean", default: false },
  },
});

const replies =
  values.replies === undefined ? shellSteps(Number(values.steps)) : (JSON.parse(readFileSync(values.replies, "utf8")) as FakeReply[]);
const server = await startFakeModelServer({ port: Number(values.port), reply: inConversation(replies), keepBodies: !values["no-bodies"] });
process.stdout.write(`${server.baseUrl}\n`);

const stop = (): void => void server.close().then(() => process.exit(0));
process.once("SIGTERM", stop);
process.once("SIGINT", stop);
if (values["until-eof"]) process.stdin.resume().once("end", stop);

function shellSteps(steps: number): FakeReply[] {
  const calls = Array.from({ length: steps }, (_, index): FakeReply => ({
    calls: [{ tool: "bash", args: { command: `echo step ${index + 1}` } }],
  }));
  return [...calls, { calls: [{ tool: "finish", args: { done: true, summary: "all steps ran" } }] }];
}
