import assert from "node:assert/strict";
import { appendFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, describe, it } from "node:test";

import { GuildError, type Model, type ModelReply, systemClock } from "@guildhall/core";
import { isKind, request, startFakeModelServer, turn, user } from "@guildhall/core/testing";
import type { PromptMessage } from "@guildhall/protocol";

import { createModelProvider } from "./provider.ts";

const provider = createModelProvider({ clock: systemClock(), random: Math.random, retry: { attempts: 1 } });
const signal = new AbortController().signal;

/** A session of three replies, the results between them included. */
async function converse(model: Model, results = ["a.ts", "12 lines"]): Promise<ModelReply[]> {
  const messages: PromptMessage[] = [user("go")];
  const replies: ModelReply[] = [];
  for (const output of [...results, undefined]) {
    const reply = await model.generate(request(messages), signal);
    replies.push(reply);
    messages.push(...turn(reply, output === undefined ? [] : [output]));
  }
  return replies;
}

describe("a recording", () => {
  let directory: string;
  let count = 0;
  let file: string;
  const script =
    "- calls: [{ tool: bash, args: { command: ls } }]\n- say: next\n  calls: [{ tool: bash, args: { command: wc } }]\n- say: done\n";
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "guildhall-models-"));
    await writeFile(join(directory, "script.yaml"), script);
  });
  after(() => rm(directory, { recursive: true }));
  beforeEach(() => {
    file = `run-${++count}.jsonl`;
  });
  const record = (step = 0): Promise<Model> =>
    provider.open({ spec: `recording:${file}:scripted:script.yaml`, directory, credentials: {}, step });
  const replay = (step = 0, mode = ""): Promise<Model> =>
    provider.open({ spec: `replay:${mode}${file}`, directory, credentials: {}, step });

  it("gives the same replies again, field by field", async () => {
    const model = await record();
    const recorded = await converse(model);
    await model.close();
    assert.deepEqual(await converse(await replay()), recorded);
  });

  it("of a hosted provider gives back its provider data, ids and usage", async (test) => {
    const server = await startFakeModelServer({
      reply: [
        { reasoning: "hm", calls: [{ tool: "bash", args: { command: "ls" } }], usage: { cached: 7 } },
        { text: "a", calls: [{ tool: "bash", args: {} }] },
        { text: "b" },
      ],
    });
    test.after(() => server.close());
    const model = await provider.open({
      spec: `recording:${file}:anthropic/claude-sonnet-5`,
      baseUrl: server.baseUrl,
      directory,
      credentials: { ANTHROPIC_API_KEY: "sk-secret" },
    });
    const recorded = await converse(model);
    await model.close();
    assert.match(recorded[0]?.providerData ?? "", /signature/);
    assert.deepEqual(await converse(await replay()), recorded);
    assert.doesNotMatch(await readFile(join(directory, file), "utf8"), /sk-secret/);
  });

  it("holds each reply before it is given", async () => {
    const model = await record();
    await model.generate(request([user("go")]), signal);
    const lines = (await readFile(join(directory, file), "utf8")).trimEnd().split("\n");
    assert.equal(lines.length, 2);
    assert.equal((JSON.parse(lines[0] ?? "") as { spec: string }).spec, "scripted:script.yaml");
    await model.close();
  });

  it("is not replayed for other requests, unless leniently", async () => {
    const model = await record();
    const recorded = await converse(model);
    await model.close();
    await assert.rejects(
      converse(await replay(), ["b.ts", "12 lines"]),
      (error) => isKind("script")(error) && /call 2: .*not the recorded one/.test((error as Error).message),
    );
    assert.deepEqual(await converse(await replay(0, "lenient:"), ["b.ts", "13 lines"]), recorded);
  });

  it("ends with a clear word", async () => {
    const model = await record();
    await converse(model);
    await model.close();
    const again = await replay(3);
    await assert.rejects(
      again.generate(request([user("go")]), signal),
      (error) => isKind("script")(error) && /holds 3 calls/.test((error as Error).message),
    );
  });

  it("keeps failures, and replays them", async () => {
    await writeFile(join(directory, "failing.yaml"), "- fail: context_overflow\n  say: shorter\n- say: end\n");
    const model = await provider.open({ spec: `recording:${file}:scripted:failing.yaml`, directory, credentials: {} });
    await assert.rejects(model.generate(request([user("go")]), signal), isKind("context_overflow"));
    await model.generate(request([user("go")]), signal);
    await model.close();
    const again = await replay();
    await assert.rejects(again.generate(request([user("go")]), signal), isKind("context_overflow"));
    assert.equal((await again.generate(request([user("go")]), signal)).text, "shorter");
  });

  it("is gone on with after a crash, the line it cut off taken away", async () => {
    const model = await record();
    const [first] = await converse(model);
    await model.close();
    const path = join(directory, file);
    const lines = (await readFile(path, "utf8")).split("\n");
    await writeFile(path, `${lines.slice(0, 2).join("\n")}\n`);
    await appendFile(path, '{"request":{"digest":"sha2');
    assert.equal((await replay()).info.spec, `replay:${file}`);
    const resumed = await record(1);
    const messages = [user("go"), ...turn(first as ModelReply, ["a.ts"])];
    const second = await resumed.generate(request(messages), signal);
    assert.equal(second.text, "next");
    await resumed.close();
    const again = await replay(1);
    assert.deepEqual(await again.generate(request(messages), signal), second);
  });

  it("is never written over", async () => {
    const model = await record();
    await converse(model);
    await model.close();
    await assert.rejects(record(), (error) => GuildError.is(error, "already_exists"));
  });

  it("that cannot be written, is none, or is broken, is named", async () => {
    await assert.rejects(provider.open({ spec: "recording:no/such/dir.jsonl:scripted:script.yaml", directory, credentials: {} }), (error) =>
      GuildError.is(error, "failed_precondition"),
    );
    await assert.rejects(provider.open({ spec: "replay:script.yaml", directory, credentials: {} }), (error) =>
      GuildError.is(error, "invalid_argument"),
    );
    await assert.rejects(provider.open({ spec: "replay:missing", directory, credentials: {} }), (error) =>
      GuildError.is(error, "not_found"),
    );
    await writeFile(join(directory, file), '{"guildhall_recording":1,"spec":"x","info":{}}\n{broken\n{}\n');
    await assert.rejects(replay(), (error) => GuildError.is(error, "corrupt"));
  });
});
