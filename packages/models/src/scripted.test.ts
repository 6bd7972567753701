import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { create } from "@bufbuild/protobuf";
import { GuildError, type Model, type ModelReply, systemClock } from "@guildhall/core";
import { isKind, request, turn, user } from "@guildhall/core/testing";
import { type PromptMessage, PromptMessageSchema, PromptRole } from "@guildhall/protocol";

import { createModelProvider } from "./provider.ts";
import { parseScript } from "./script-file.ts";
import { scriptedModel } from "./scripted.ts";

const signal = new AbortController().signal;
const open = async (text: string, step = 0): Promise<Model> =>
  scriptedModel({ spec: "scripted:test.yaml", script: await parseScript(text, "test.yaml"), clock: systemClock(), step });
const ask = (model: Model, messages: PromptMessage[] = [user("go")]): Promise<ModelReply> => model.generate(request(messages), signal);
const result = (text: string, isError = false): PromptMessage =>
  create(PromptMessageSchema, { role: PromptRole.TOOL, text, callId: "c", tool: "bash", isError });

describe("a scripted model", () => {
  it("says its steps in order, and tells when there are no more", async () => {
    const model = await open(`
description: three replies
steps:
  - say: I run the tests.
    reasoning: Where do we stand?
    calls:
      - tool: bash
        args: { command: npm test, timeout_s: 60 }
  - calls: [{ tool: bash, args: '{"command": ' }]
  - say: Done.
`);
    const first = await ask(model);
    assert.equal(first.text, "I run the tests.");
    assert.equal(first.reasoning, "Where do we stand?");
    assert.equal(first.toolCalls[0]?.arguments, '{"command":"npm test","timeout_s":60}');
    assert.equal(first.toolCalls[0]?.callId, "call_1_1");
    assert.equal((await ask(model)).toolCalls[0]?.arguments, '{"command": ');
    assert.equal((await ask(model)).finishReason, "stop");
    await assert.rejects(ask(model), (error) => isKind("script")(error) && /all of its 3 replies/.test((error as Error).message));
  });

  it("goes on where its session stands", async () => {
    const text = "- say: one\n- fail: rate_limited\n- say: two\n- say: three\n";
    assert.equal((await ask(await open(text, 2))).text, "three");
    const model = await open(text, 1);
    await assert.rejects(ask(model), isKind("rate_limited"));
    assert.equal((await ask(model)).text, "two");
  });

  it("repeats a step, so many times or for ever, with its number in it", async () => {
    const model = await open(
      '[{"calls": [{"tool": "bash", "args": {"command": "echo {{step}}"}}], "repeat": 2}, {"say": "again {{step}}", "repeat": "forever"}]',
    );
    const said: string[] = [];
    for (let n = 0; n < 5; n++) {
      const reply = await ask(model);
      said.push(reply.toolCalls[0]?.arguments ?? reply.text);
    }
    assert.deepEqual(said, ['{"command":"echo 1"}', '{"command":"echo 2"}', "again 3", "again 4", "again 5"]);
    assert.equal((await ask(await open("- say: x{{step}}\n  repeat: forever\n", 500))).text, "x501");
  });

  it("fails as told, once or more often, and then replies", async () => {
    const model = await open("- fail: cut\n  times: 2\n  say: whole\n- fail: overloaded\n");
    await assert.rejects(ask(model), isKind("cut"));
    await assert.rejects(ask(model), isKind("cut"));
    assert.equal((await ask(model)).text, "whole");
    await assert.rejects(ask(model), isKind("overloaded"));
    await assert.rejects(ask(model), isKind("script"));
  });

  it("holds what it is told against what it expects", async () => {
    const expecting = (expect: string): Promise<Model> => open(`- say: hello\n  expect: ${expect}\n`);
    const messages = [
      user("old words"),
      ...turn({ text: "x", reasoning: "", toolCalls: [], providerData: "" } as unknown as ModelReply, []),
      result("3 passed"),
      result("boom", true),
    ];
    for (const met of [
      "{ contains: passed }",
      "{ contains: [passed, boom], lacks: old }",
      '{ matches: "^\\\\d+ passed$" }',
      "{ results: [{ tool: bash, status: ok, contains: '3' }, { status: error, matches: bo+m }] }",
    ]) {
      assert.equal((await ask(await expecting(met), messages)).text, "hello", met);
    }
    for (const [unmet, words] of [
      ["{ contains: failed }", /expected "failed" in the last messages; they say: .*3 passed/],
      ["{ lacks: boom }", /expected no "boom"/],
      ["{ contains: old words }", /expected "old words"/],
      ["{ matches: '^boo$' }", /expected a match of \/\^boo\$\//],
      ["{ results: [{}] }", /expected 1 tool results; there are 2/],
      ["{ results: [{ status: error }, {}] }", /expected status error in result 1; it is ok: "3 passed"/],
      ["{ results: [{ tool: edit }, {}] }", /a result of edit in result 1; it is of bash/],
    ] as const) {
      const model = await expecting(unmet);
      await assert.rejects(ask(model, messages), (error) => isKind("script")(error) && words.test((error as Error).message), unmet);
    }
  });

  it("chooses by what it is told", async () => {
    const text = `
- choose:
    - when: { matches: "fail(ed|ing)" }
      say: I mend it.
    - when: { contains: passed }
      say: Nothing to do.
`;
    assert.equal((await ask(await open(text), [result("2 failing")])).text, "I mend it.");
    assert.equal((await ask(await open(text), [result("all passed")])).text, "Nothing to do.");
    await assert.rejects(
      ask(await open(text), [result("?")]),
      (error) => isKind("script")(error) && /no choice holds/.test((error as Error).message),
    );
  });

  it("is not moved on by a call that was cancelled", async () => {
    const model = await open("- say: slow\n  delay_ms: 60000\n- say: next\n");
    const abort = new AbortController();
    const call = model.generate(request([user("go")]), abort.signal);
    abort.abort();
    await assert.rejects(call, isKind("cancelled"));
    const again = new AbortController();
    const second = model.generate(request([user("go")]), again.signal);
    again.abort();
    await assert.rejects(second, isKind("cancelled"));
  });

  it("counts tokens as told, or about four characters each", async () => {
    const model = await open("- say: abcdefgh\n- say: x\n  usage: { input: 900, cached: 800, output: 7, cost_usd: 0.5 }\n");
    assert.equal((await ask(model)).usage?.outputTokens, 2);
    const { usage } = await ask(model);
    assert.deepEqual(
      [usage?.inputTokens, usage?.cachedInputTokens, usage?.outputTokens, usage?.costUsd, usage?.costKnown],
      [900, 800, 7, 0.5, true],
    );
  });
});

describe("a script that is wrong", () => {
  for (const [text, words] of [
    ["- say: x\n  cals: []\n", /steps\[0\]|\[0\].*cals|cals/],
    ["- calls: [{ args: {} }]\n", /calls\[0\]\.tool/],
    ["- {}\n", /steps\[0\]: a step needs say/],
    ["- fail: nonsense\n", /fail/],
    ["- say: x\n  repeat: forever\n- say: y\n", /nothing comes after/],
    ["- say: x\n  expect: { matches: '(' }\n", /no regular expression/],
    ["steps: 3\n", /steps/],
    ["- say: [unclosed\n", /neither YAML nor JSON: .*column 1 \(bad/],
    ["", /it is no script|beginning/],
  ] as const) {
    it(`is refused with the place: ${JSON.stringify(text)}`, async () => {
      await assert.rejects(parseScript(text, "bad.yaml"), (error) => {
        assert.ok(GuildError.is(error, "invalid_argument"), String(error));
        assert.match(error.line, words);
        assert.match(error.line, /bad\.yaml/);
        assert.doesNotMatch(error.line, /\n/);
        return true;
      });
    });
  }
});

describe("a script's file", () => {
  let directory: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "guildhall-models-"));
  });
  after(() => rm(directory, { recursive: true }));
  const provider = createModelProvider({ clock: systemClock(), random: Math.random });

  it("is looked up in the caller's directory", async () => {
    await writeFile(join(directory, "hello.yaml"), "- say: hello\n");
    const model = await provider.open({ spec: "scripted:hello.yaml", directory, credentials: {} });
    assert.equal((await ask(model)).text, "hello");
    assert.equal(model.info.spec, "scripted:hello.yaml");
  });

  it("that is not there, or is no file, is named", async () => {
    await assert.rejects(provider.open({ spec: "scripted:no.yaml", directory, credentials: {} }), (error) =>
      GuildError.is(error, "not_found"),
    );
    await assert.rejects(provider.open({ spec: "scripted:.", directory, credentials: {} }), (error) =>
      GuildError.is(error, "invalid_argument"),
    );
  });
});
