import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { ModelRepliedSchema, type PromptMessage, PromptMessageSchema, PromptRole, ToolSchemaSchema } from "@guildhall/protocol";

import { type Model, ModelError, type ModelReply, type ModelRequest } from "../ports/model.ts";
import type { FakeReply } from "./fake-model-server-reply.ts";

/** What a suite runs against. */
export interface ModelFixture {
  /** A fresh model that gives these replies, one a call. */
  open(replies: FakeReply[]): Promise<Model>;
  close(): Promise<void>;
}

/**
 * What a way to a model cannot carry: a wire format without reasoning, or with arguments as a value; a replay, which waits for nothing and gives the ids
 * that were recorded.
 */
export type ModelLack = "reasoning" | "invalid_arguments" | "delay" | "new_ids";

/** Every promise of the Model port that holds for all models, less what `lacks` names. `makeFixture` is called once a suite. */
export function modelContract(name: string, makeFixture: () => Promise<ModelFixture>, lacks: ModelLack[] = []): void {
  const unless = (lack: ModelLack, title: string, test: () => Promise<void>): void => {
    if (!lacks.includes(lack)) it(title, test);
  };
  describe(`${name}: model`, () => {
    let fixture: ModelFixture;
    before(async () => {
      fixture = await makeFixture();
    });
    after(() => fixture.close());

    it("gives the text whole and in deltas", async () => {
      const text = "Grüße, 世界 — “quoted”\n\ttabs, \\ and \u{1f3db}\u{fe0f}; last line\n";
      const deltas: string[] = [];
      const model = await fixture.open([{ text, pieces: 5 }]);
      const reply = await model.generate(request([user("go")]), never(), { text: (delta) => deltas.push(delta) });
      assert.equal(reply.text, text);
      assert.equal(deltas.join(""), text);
      assert.equal(reply.finishReason, "stop");
      assert.deepEqual(reply.toolCalls, []);
      await model.close();
    });

    it("gives calls in their order, with arguments as written and ids of their own", async () => {
      const args = [{ command: "ls -la" }, { command: 'printf "a\\nb"', timeout_s: 3 }, {}];
      const model = await fixture.open([{ text: "Two at once.", calls: args.map((value) => ({ tool: "bash", args: value })), pieces: 4 }]);
      const reply = await model.generate(request([user("go")]), never());
      assert.equal(reply.text, "Two at once.");
      assert.deepEqual(
        reply.toolCalls.map((call) => [call.tool, JSON.parse(call.arguments) as unknown]),
        args.map((value) => ["bash", value]),
      );
      assert.equal(new Set(reply.toolCalls.map((call) => call.callId)).size, 3);
      assert.ok(reply.toolCalls.every((call) => call.callId !== ""));
      assert.equal(reply.finishReason, "tool_calls");
      await model.close();
    });

    unless("new_ids", "keeps ids apart when a model uses one again", async () => {
      const call = { tool: "bash", args: { command: "ls" }, id: "call_1" };
      const model = await fixture.open([{ calls: [call] }, { calls: [call] }]);
      const first = await model.generate(request([user("go")]), never());
      const second = await model.generate(request([user("go"), ...turn(first, ["a"])]), never());
      assert.notEqual(second.toolCalls[0]?.callId, first.toolCalls[0]?.callId);
      await model.close();
    });

    unless("reasoning", "gives reasoning apart from the text", async () => {
      const deltas: string[] = [];
      const model = await fixture.open([{ reasoning: "First I look.", text: "I looked.", pieces: 2 }]);
      const reply = await model.generate(request([user("go")]), never(), { reasoning: (delta) => deltas.push(delta) });
      assert.equal(reply.reasoning, "First I look.");
      assert.equal(deltas.join(""), "First I look.");
      assert.equal(reply.text, "I looked.");
      await model.close();
    });

    unless("invalid_arguments", "keeps arguments that are no JSON, and goes on after them", async () => {
      const model = await fixture.open([{ calls: [{ tool: "bash", args: '{"command": "ls' }] }, { text: "done" }]);
      const first = await model.generate(request([user("go")]), never());
      assert.equal(first.toolCalls[0]?.arguments, '{"command": "ls');
      const second = await model.generate(request([user("go"), ...turn(first, ["invalid JSON"], true)]), never());
      assert.equal(second.text, "done");
      await model.close();
    });

    it("goes through a conversation of its own replies, errors and empty results among them", async () => {
      const bash = (command: string): { tool: string; args: unknown } => ({ tool: "bash", args: { command } });
      const model = await fixture.open([
        { reasoning: "hm", text: "I look.", calls: [bash("ls"), bash("pwd")] },
        { reasoning: "so", calls: [bash("true")] },
        { text: "All done." },
      ]);
      const messages = [system("You are an engineer."), user("Mend it.")];
      const first = await model.generate(request(messages), never());
      messages.push(...turn(first, ["a.ts", ""]));
      const second = await model.generate(request(messages), never());
      messages.push(...turn(second, ["failed"], true), user("Go on."));
      const third = await model.generate(request(messages), never());
      assert.equal(third.text, "All done.");
      await model.close();
    });

    it("counts tokens", async () => {
      const usage = { input: 120, cached: 20, output: 30 };
      const model = await fixture.open([{ text: "counted", usage }]);
      const reply = await model.generate(request([user("go")]), never());
      assert.equal(reply.usage?.inputTokens, 120);
      assert.equal(reply.usage?.cachedInputTokens, 20);
      assert.equal(reply.usage?.outputTokens, 30);
      assert.ok(Number.isInteger(reply.durationMs) && reply.durationMs >= 0);
      await model.close();
    });

    it("gives a reply that an event can hold", async () => {
      const model = await fixture.open([{ reasoning: "r", text: "t", calls: [{ tool: "bash", args: { command: "ls" } }] }]);
      const reply = await model.generate(request([user("go")]), never());
      const event = create(ModelRepliedSchema, { ...reply, step: 1 });
      const back = fromBinary(ModelRepliedSchema, toBinary(ModelRepliedSchema, event));
      assert.deepEqual(back, event);
      assert.notEqual(reply.model, "");
      await model.close();
    });

    it("is cancelled before it begins", async () => {
      const model = await fixture.open([{ text: "never" }]);
      await assert.rejects(model.generate(request([user("go")]), AbortSignal.abort(new Error("stop"))), isKind("cancelled"));
      await model.close();
    });

    unless("delay", "is cancelled while it waits", async () => {
      const model = await fixture.open([{ text: "late", delayMs: 60_000 }, { text: "next" }]);
      const abort = new AbortController();
      const call = model.generate(request([user("go")]), abort.signal);
      setTimeout(() => abort.abort(new Error("stop")), 30);
      await assert.rejects(call, isKind("cancelled"));
      await model.close();
    });

    it("says what it is", async () => {
      const model = await fixture.open([]);
      assert.notEqual(model.info.spec, "");
      assert.notEqual(model.info.provider, "");
      assert.ok(model.info.contextTokens > 1000);
      assert.ok(model.info.maxOutputTokens > 0 && model.info.maxOutputTokens < model.info.contextTokens);
      await model.close();
    });
  });
}

/** A request with one tool, for tests of models. */
export function request(messages: PromptMessage[]): ModelRequest {
  const schema = JSON.stringify({ type: "object", properties: { command: { type: "string" } }, required: ["command"] });
  return {
    sessionId: "ses_contract",
    messages: [...messages],
    tools: [create(ToolSchemaSchema, { name: "bash", description: "Runs a command.", schema })],
  };
}

export function system(text: string): PromptMessage {
  return create(PromptMessageSchema, { role: PromptRole.SYSTEM, text, cache: true });
}

export function user(text: string): PromptMessage {
  return create(PromptMessageSchema, { role: PromptRole.USER, text });
}

/** A reply as it goes back to the model, with the results of its calls. */
export function turn(reply: ModelReply, results: string[], isError = false): PromptMessage[] {
  const { text, reasoning, toolCalls, providerData } = reply;
  return [
    create(PromptMessageSchema, { role: PromptRole.ASSISTANT, text, reasoning, toolCalls, providerData }),
    ...results.map((output, index) => {
      const call = toolCalls[index];
      return create(PromptMessageSchema, {
        role: PromptRole.TOOL,
        text: output,
        callId: call?.callId ?? "",
        tool: call?.tool ?? "",
        isError,
      });
    }),
  ];
}

/** Whether an error is a ModelError of that kind: for `assert.rejects`. */
export function isKind(kind: ModelError["kind"]): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof ModelError, `expected a ModelError, got ${String(error)}`);
    assert.equal(error.kind, kind, `${error.kind}: ${error.message}`);
    return true;
  };
}

function never(): AbortSignal {
  return new AbortController().signal;
}
