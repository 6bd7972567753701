import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";

import { GuildError, systemClock } from "@guildhall/core";
import { type FakeModelServer, isKind, request, startFakeModelServer, user } from "@guildhall/core/testing";

import { createModelProvider } from "./provider.ts";

const signal = new AbortController().signal;

describe("several models", () => {
  let broken: FakeModelServer;
  let sound: FakeModelServer;
  before(async () => {
    broken = await startFakeModelServer();
    sound = await startFakeModelServer();
  });
  after(() => Promise.all([broken.close(), sound.close()]));

  const provider = createModelProvider({
    clock: systemClock(),
    random: () => 0,
    retry: { baseMs: 0, attempts: 3 },
    routing: () => ({ routes: { reviewer: `openai-compatible/b@${sound.baseUrl}`, loop: "role:loop" } }),
  });
  const chain = () => `openai-compatible/a@${broken.baseUrl}|openai-compatible/b@${sound.baseUrl}`;

  for (const status of [401, 404, 429, 500, 529]) {
    it(`the next answers where one fails with ${status}, and says that it did`, async () => {
      broken.answer(() => ({ fault: { kind: "status", status, message: "no" } }));
      sound.answer(() => ({ text: "here" }));
      const model = await provider.open({ spec: chain(), credentials: {} });
      const waits: string[] = [];
      const reply = await model.generate(request([user("go")]), signal, { waiting: (reason) => waits.push(reason) });
      assert.deepEqual([reply.text, reply.model], ["here", `openai-compatible/b@${sound.baseUrl}`]);
      assert.match(waits.at(-1) ?? "", /takes over/);
      const asked = broken.requests.length;
      await model.generate(request([user("go")]), signal);
      assert.equal(broken.requests.length, asked, "one that failed is passed over for a while");
    });
  }

  it("a reply that is the model's own fault is nobody else's matter", async () => {
    broken.answer(() => ({ text: "" }));
    const model = await provider.open({ spec: chain(), credentials: {} });
    const before = sound.requests.length;
    await assert.rejects(model.generate(request([user("go")]), signal), isKind("empty"));
    assert.equal(sound.requests.length, before);
  });

  it("the last failure is told when all fail", async () => {
    broken.answer(() => ({ fault: { kind: "status", status: 500, message: "one" } }));
    sound.answer(() => ({ fault: { kind: "status", status: 503, message: "two" } }));
    const model = await provider.open({ spec: chain(), credentials: {} });
    await assert.rejects(
      model.generate(request([user("go")]), signal),
      (error) => isKind("overloaded")(error) && /none of 2 models answered.*two/.test(String(error)),
    );
  });

  it("one whose key is missing is left out, unless all are", async () => {
    sound.answer(() => ({ text: "here" }));
    const model = await provider.open({ spec: `anthropic/claude-sonnet-5|openai-compatible/b@${sound.baseUrl}`, credentials: {} });
    assert.equal((await model.generate(request([user("go")]), signal)).text, "here");
    await assert.rejects(provider.open({ spec: "anthropic/x|google/y", credentials: {} }), (error) =>
      GuildError.is(error, "unauthenticated"),
    );
  });

  it("the cheapest comes first where price decides, and a budget counts with the dearest", async () => {
    const credentials = { ANTHROPIC_API_KEY: "a", OPENAI_API_KEY: "b" };
    const model = await provider.open({
      spec: "cheapest:anthropic/claude-opus-4-1|openai-chat/gpt-4o-mini",
      credentials,
      baseUrl: sound.baseUrl,
    });
    sound.answer(() => ({ text: "cheap" }));
    const reply = await model.generate(request([user("go")]), signal);
    assert.equal(reply.model, "openai-chat/gpt-4o-mini");
    assert.equal(model.info.price?.output, 75);
    assert.equal(model.info.contextTokens, 128_000);
  });

  it("a role is a name that the settings give a model", async () => {
    sound.answer(() => ({ text: "review" }));
    const model = await provider.open({ spec: "role:reviewer", credentials: {} });
    assert.equal((await model.generate(request([user("go")]), signal)).text, "review");
    await assert.rejects(
      provider.open({ spec: "role:cook", credentials: {} }),
      (error) => GuildError.is(error, "not_found") && /\[routes\] cook/.test(error.line),
    );
    await assert.rejects(provider.open({ spec: "role:loop", credentials: {} }), /name each other/);
    await assert.rejects(provider.open({ spec: "a/b||c/d", credentials: {} }), (error) => GuildError.is(error, "invalid_argument"));
  });
});
