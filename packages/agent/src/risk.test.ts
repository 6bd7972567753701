import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { type CommandJudge, GuildError } from "@guildhall/core";
import { Risk, TurnEndReason } from "@guildhall/protocol";
import { z } from "zod";

import { does, finishes, Harness, type HarnessOptions } from "./testing/harness.ts";
import { assertValidLog } from "./testing/validity.ts";
import { createBashTool, defineTool, prepareCall, ToolSet } from "./tools/index.ts";

const shell = defineTool({
  name: "shell",
  description: "Runs a script.",
  schema: z.strictObject({ script: z.string() }),
  risk: () => Risk.LOW,
  assess: ({ script }, judge) => judge.judge(script),
  resources: ({ script }) => [{ name: `file:/w/${script}`, access: "write" }],
  execute: async ({ script }) => ({ status: "ok", output: `ran ${script}` }),
});

/** High for what begins with an exclamation mark. */
const judge: CommandJudge = {
  judge: (script) => {
    if (script === "?") throw new RangeError("beyond me");
    return script.startsWith("!")
      ? { risk: Risk.HIGH, reasons: ["it shouts", "it is rude"] }
      : { risk: Risk.MEDIUM, reasons: ["it speaks"] };
  },
};
const says = (script: string) => ({ tool: "shell", args: { script } });

async function session(calls: Array<{ tool: string; args: unknown }>, options: HarnessOptions = {}): Promise<Harness> {
  const harness = await Harness.start([{ calls }, finishes()], { approvalPolicy: "risky", ...options });
  harness.world.tools.add(shell);
  return harness;
}

describe("a risk that is analysed", () => {
  it("is asked about with its reasons and the exact rule, and holds up no safe call beside it", async () => {
    const harness = await session([says("!go"), says("go"), does("a")]);
    const end = await harness.run({ commandJudge: async () => judge });
    assert.equal(end.reason, TurnEndReason.NEEDS_APPROVAL);
    assert.match(end.summary, /it shouts; it is rude/);
    const events = await harness.events();
    const asked = events.flatMap(({ body }) => (body.case === "approvalRequested" ? [body.value] : []));
    assert.deepEqual(
      asked.map(({ risk, reason, rule }) => ({ risk, reason, rule })),
      [{ risk: Risk.HIGH, reason: "its risk is high: it shouts; it is rude", rule: 'allow shell {"script":"!go"} in /w' }],
    );
    const started = events.flatMap(({ body }) => (body.case === "actionStarted" ? [[body.value.tool, body.value.risk]] : []));
    assert.deepEqual(started, [
      ["shell", Risk.MEDIUM],
      ["do", Risk.LOW],
    ]);
    assert.deepEqual(harness.world.done, ["a"]);
    await harness.decide(true);
    assert.equal((await harness.run({ commandJudge: async () => judge })).reason, TurnEndReason.DONE);
    assertValidLog(await harness.events());
  });

  it("is high when the analysis fails, or cannot be had", async () => {
    const failing = await session([says("?")]);
    assert.match((await failing.run({ commandJudge: async () => judge })).summary, /could not be told \(beyond me\)/);
    const missing = await session([says("go")]);
    const commandJudge = async () => Promise.reject(new GuildError("unavailable", "the grammar is gone"));
    assert.match((await missing.run({ commandJudge })).summary, /could not be told \(the grammar is gone\)/);
  });

  it("costs nothing where nobody is asked", async () => {
    const harness = await session([says("!go")], { approvalPolicy: "never" });
    const commandJudge = async () => assert.fail("loaded for nothing");
    assert.equal((await harness.run({ commandJudge })).reason, TurnEndReason.DONE);
  });

  it("is told for a call that an earlier run left open", async () => {
    const harness = await session([says("!go")]);
    await harness.run({ commandJudge: async () => judge });
    await harness.decide(false);
    assert.equal((await harness.run({ commandJudge: async () => judge })).reason, TurnEndReason.DONE);
    const asked = (await harness.kinds()).filter((kind) => kind === "approvalRequested");
    assert.equal(asked.length, 1);
  });
});

describe("the bash tool's risk", () => {
  const tools = new ToolSet([createBashTool()]);
  const riskOf = (args: object) => {
    const outcome = prepareCall(tools, { callId: "c", tool: "bash", arguments: JSON.stringify(args) }, judge);
    assert.ok("prepared" in outcome);
    return { risk: outcome.prepared.risk, reasons: outcome.prepared.reasons };
  };

  it("is that of its command and of what is typed, the higher of them", () => {
    assert.deepEqual(riskOf({ command: "!x" }), { risk: Risk.HIGH, reasons: ["it shouts", "it is rude"] });
    assert.deepEqual(riskOf({ command: "x", input: "!x" }).risk, Risk.HIGH);
    assert.match(riskOf({ input: "!x y" }).reasons?.[0] ?? "", /what is typed.*it shouts/);
  });

  it("is low for keys, signals, waiting and short answers", () => {
    for (const input of ["", "C-c", "Up Enter", "SIGTERM", "y", "12.5"]) assert.equal(riskOf({ input }).risk, Risk.LOW, input);
    assert.equal(riskOf({ reset: true }).risk, Risk.LOW);
  });
});
