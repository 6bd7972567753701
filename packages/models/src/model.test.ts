import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { type Model, systemClock } from "@guildhall/core";
import {
  type FakeReply,
  modelContract,
  type ModelFixture,
  type ModelLack,
  request,
  startFakeModelServer,
  user,
} from "@guildhall/core/testing";

import { createModelProvider } from "./provider.ts";

const provider = createModelProvider({ clock: systemClock(), random: Math.random });
const credentials = { ANTHROPIC_API_KEY: "key-a", OPENAI_API_KEY: "key-o", GEMINI_API_KEY: "key-g", OPENROUTER_API_KEY: "key-r" };

for (const [spec, path, lacks] of [
  ["anthropic/claude-sonnet-5", "/v1", []],
  ["openai/gpt-5.5", "/v1", []],
  ["openai-chat/gpt-5.5", "/v1", ["reasoning"]],
  ["google/gemini-3.5-flash", "/v1beta", ["invalid_arguments"]],
  ["openrouter/anthropic/claude-sonnet-5", "/v1", []],
  ["openai-compatible/fake", "/v1", []],
  ["ollama/fake", "/v1", []],
  ["llamacpp/fake", "/v1", []],
] satisfies Array<[string, string, ModelLack[]]>) {
  modelContract(
    spec,
    async (): Promise<ModelFixture> => {
      const server = await startFakeModelServer();
      return {
        open(replies) {
          server.answer(replies);
          return provider.open({ spec, baseUrl: server.origin + path, credentials });
        },
        close: () => server.close(),
      };
    },
    lacks,
  );
}

modelContract("scripted", async () => {
  const directory = await mkdtemp(join(tmpdir(), "guildhall-models-"));
  return { open: (replies) => scripted(directory, replies), close: () => rm(directory, { recursive: true }) };
});

modelContract("recording", async () => {
  const directory = await mkdtemp(join(tmpdir(), "guildhall-models-"));
  let count = 0;
  return {
    async open(replies) {
      const script = await scriptFile(directory, replies);
      return provider.open({ spec: `recording:run-${++count}.jsonl:scripted:${script}`, directory, credentials: {} });
    },
    close: () => rm(directory, { recursive: true }),
  };
});

modelContract(
  "replay",
  async () => {
    const directory = await mkdtemp(join(tmpdir(), "guildhall-models-"));
    let count = 0;
    return {
      async open(replies) {
        const file = `run-${++count}.jsonl`;
        const script = await scriptFile(
          directory,
          replies.map(({ delayMs: _delay, ...reply }) => reply),
        );
        const recording = await provider.open({ spec: `recording:${file}:scripted:${script}`, directory, credentials: {} });
        for (const _reply of replies) await recording.generate(request([user("record")]), new AbortController().signal);
        await recording.close();
        return provider.open({ spec: `replay:lenient:${file}`, directory, credentials: {} });
      },
      close: () => rm(directory, { recursive: true }),
    };
  },
  ["delay", "new_ids"],
);

async function scripted(directory: string, replies: FakeReply[]): Promise<Model> {
  return provider.open({ spec: `scripted:${await scriptFile(directory, replies)}`, directory, credentials: {} });
}

let scripts = 0;
/** The replies as a script; an empty list as a script of one reply, since a script without any is none. */
async function scriptFile(directory: string, replies: FakeReply[]): Promise<string> {
  const file = join(directory, `script-${++scripts}.json`);
  const steps = replies.map(({ text, reasoning, calls, usage, delayMs }) => ({
    say: text,
    reasoning,
    calls: calls?.map(({ tool, args, id }) => ({ tool, args, id })),
    usage: usage === undefined ? undefined : { input: usage.input, cached: usage.cached, output: usage.output },
    delay_ms: delayMs,
  }));
  await writeFile(file, JSON.stringify({ steps: steps.length === 0 ? [{ say: "nothing" }] : steps }));
  return file;
}
