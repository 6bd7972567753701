import { runSession, ToolSet } from "@guildhall/agent";
import { body, type Model, type ModelReply, type ModelRequest, type Tool, type ToolRegistry } from "@guildhall/core";
import { FakeToolSession, MemoryEventLog, simulatedClock } from "@guildhall/core/testing";
import { Risk } from "@guildhall/protocol";
import { z } from "zod";

export interface ScriptedSessionOptions {
  steps: number;
  contextTokens: number;
  output(step: number): string;
  summarise?(request: ModelRequest): string;
  /** Given the tool of this session, what the agent is offered; default that tool alone. */
  tools?(own: Tool): ToolRegistry;
}

/** A session of the real loop over a log in memory, whose model answers at once: each step calls one tool. Resolves to what the model was asked. */
export async function scriptedSession(options: ScriptedSessionOptions): Promise<ModelRequest[]> {
  const clock = simulatedClock();
  const log = new MemoryEventLog({ clock });
  const key = { tenant: "local", session: "ses_1" };
  const started = body.sessionStarted({
    workspace: "/w",
    model: "bench/model",
    approvalPolicy: "never",
    systemPrompt: "You are an engineer. ".repeat(100),
  });
  await log.createSession({
    ...key,
    title: "",
    workspace: "/w",
    actor: "bench",
    events: [started, body.messageReceived({ text: "Make the tests pass." })],
  });
  const requests: ModelRequest[] = [];
  const info = { spec: "bench/model", provider: "bench", contextTokens: options.contextTokens, maxOutputTokens: 1_000, price: undefined };
  const model = (reply: (request: ModelRequest) => Partial<ModelReply>): Model => ({
    info,
    generate: async (request) => ({
      text: "",
      reasoning: "",
      toolCalls: [],
      finishReason: "stop",
      durationMs: 0,
      model: "",
      providerData: "",
      ...reply(request),
    }),
    close: async () => {},
  });
  const { summarise } = options;
  let step = 0;
  await runSession(
    {
      log,
      key,
      worker: "bench",
      clock,
      unattended: true,
      tools: options.tools?.(run(options.output)) ?? new ToolSet([run(options.output)]),
      toolSession: Promise.resolve(new FakeToolSession()),
      openModel: async () =>
        model((request) => {
          requests.push(request);
          const call = step < options.steps ? { tool: "run", arguments: JSON.stringify({ step }) } : { tool: "finish", arguments: "{}" };
          step += 1;
          return {
            text: `Now step ${step}.`,
            toolCalls: [{ $typeName: "guildhall.v1.ToolCall", callId: `c${step}`, masked: false, ...call }],
          };
        }),
      ...(summarise === undefined ? {} : { openSummariser: async () => model((request) => ({ text: summarise(request) })) }),
    },
    AbortSignal.timeout(600_000),
  );
  return requests;
}

function run(output: (step: number) => string): Tool {
  const schema = z.strictObject({ step: z.int() });
  return {
    name: "run",
    description: "Runs a step.",
    source: "built-in",
    schema,
    risk: () => Risk.LOW,
    resources: () => [],
    repeatable: () => true,
    execute: async (input) => {
      const { step } = schema.parse(input);
      return { status: "ok", output: output(step) };
    },
  };
}
