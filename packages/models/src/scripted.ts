import { type Clock, type Model, ModelError, type ModelListener, type ModelReply, type ModelRequest } from "@guildhall/core";
import { type PromptMessage, PromptRole, type ToolCall } from "@guildhall/protocol";

import { withOwnIds } from "./call-ids.ts";
import type { Script, ScriptCondition, ScriptEntry, ScriptReply } from "./script-file.ts";

export interface ScriptedOptions {
  /** For messages and ModelInfo. */
  spec: string;
  script: Script;
  clock: Clock;
  /** Replies of this session so far: where the script goes on. */
  step: number;
}

/**
 * A model that says what a script tells it, reply by reply, costs nothing and knows no chance. Past the script's end, and where an expectation does not hold,
 * it fails with kind `script` and what it saw.
 */
export function scriptedModel({ spec, script, clock, step }: ScriptedOptions): Model {
  let position = step;
  let failed = 0;
  return {
    info: {
      spec,
      provider: "scripted",
      contextTokens: 200_000,
      maxOutputTokens: 16_384,
      price: { input: 0, cachedInput: 0, cacheWrite: 0, output: 0 },
    },
    async generate(request, signal, listener) {
      if (signal.aborted) throw cancelled(signal.reason);
      const started = clock.monotonic();
      const number = position + 1;
      const entry = entryAt(script, position, spec);
      const failure = entry.failures[failed];
      if (failure !== undefined) {
        failed++;
        throw new ModelError(failure, `${spec} fails here by its script (${failure})`);
      }
      if (entry.step === undefined) throw pastEnd(script, spec);
      const recent = sinceLastReply(request.messages);
      if (entry.step.expect !== undefined) {
        const complaint = unmet(entry.step.expect, recent);
        if (complaint !== undefined) throw new ModelError("script", `${spec}, reply ${number}: expected ${complaint}`);
      }
      const said = chosen(entry.step.choose, entry.step, recent, spec, number);
      if (said.delay_ms !== undefined) {
        try {
          await clock.sleep(said.delay_ms, signal);
        } catch (error) {
          throw signal.aborted ? cancelled(error) : error;
        }
      }
      const reply = replyOf(said, request, number, listener);
      // Only what was said moves the script on: a cancelled call is asked again.
      position++;
      failed = 0;
      return { ...reply, durationMs: Math.max(0, Math.round(clock.monotonic() - started)), model: spec };
    },
    close: async () => {},
  };
}

function entryAt(script: Script, position: number, spec: string): ScriptEntry {
  const entry = script.entries[position] ?? (script.forever ? script.entries.at(-1) : undefined);
  if (entry === undefined) throw pastEnd(script, spec);
  return position >= script.entries.length ? { ...entry, failures: [] } : entry;
}

function pastEnd(script: Script, spec: string): ModelError {
  const count = script.entries.filter((entry) => entry.step !== undefined).length;
  return new ModelError("script", `${spec} has said all of its ${count} replies, and was asked for another`, {
    remedy: "end the script with a call of finish, or let its last step repeat forever",
  });
}

function cancelled(cause: unknown): ModelError {
  return new ModelError("cancelled", "the call was cancelled", { cause });
}

/** What the session was told since the model spoke last. */
function sinceLastReply(messages: PromptMessage[]): PromptMessage[] {
  return messages.slice(messages.findLastIndex((message) => message.role === PromptRole.ASSISTANT) + 1);
}

function chosen(
  branches: ScriptReply[] | undefined,
  step: ScriptReply,
  recent: PromptMessage[],
  spec: string,
  number: number,
): ScriptReply {
  if (branches === undefined) return step;
  const branch = branches.find(({ when }) => when === undefined || unmet(when, recent) === undefined);
  if (branch !== undefined) return branch;
  const reasons = branches.map(({ when }) => (when === undefined ? "" : unmet(when, recent))).join("; nor ");
  throw new ModelError("script", `${spec}, reply ${number}: no choice holds: ${reasons}`);
}

/** What of the condition does not hold, in words; undefined when all does. */
function unmet(condition: ScriptCondition, recent: PromptMessage[]): string | undefined {
  const text = recent.map((message) => message.text).join("\n");
  const complaint = unmetText(condition, text);
  if (complaint !== undefined) return `${complaint} in the last messages; they say: ${shown(text)}`;
  if (condition.results === undefined) return undefined;
  const results = recent.filter((message) => message.role === PromptRole.TOOL);
  if (results.length !== condition.results.length) return `${condition.results.length} tool results; there are ${results.length}`;
  for (const [index, wanted] of condition.results.entries()) {
    const result = results[index];
    if (result === undefined) continue;
    const where = `in result ${index + 1}`;
    if (wanted.tool !== undefined && wanted.tool !== result.tool) return `a result of ${wanted.tool} ${where}; it is of ${result.tool}`;
    const status = result.isError ? "error" : "ok";
    if (wanted.status !== undefined && wanted.status !== status)
      return `status ${wanted.status} ${where}; it is ${status}: ${shown(result.text)}`;
    const wrong = unmetText(wanted, result.text);
    if (wrong !== undefined) return `${wrong} ${where}; it says: ${shown(result.text)}`;
  }
  return undefined;
}

function unmetText(condition: Pick<ScriptCondition, "contains" | "lacks" | "matches">, text: string): string | undefined {
  const missing = condition.contains?.find((part) => !text.includes(part));
  if (missing !== undefined) return JSON.stringify(missing);
  const present = condition.lacks?.find((part) => text.includes(part));
  if (present !== undefined) return `no ${JSON.stringify(present)}`;
  const unmatched = condition.matches?.find((expression) => !expression.test(text));
  return unmatched === undefined ? undefined : `a match of /${unmatched.source}/`;
}

function replyOf(
  said: ScriptReply,
  request: ModelRequest,
  number: number,
  listener: ModelListener | undefined,
): Omit<ModelReply, "durationMs" | "model"> {
  const reasoning = said.reasoning ?? "";
  const text = filled(said.say ?? "", number);
  if (reasoning !== "") listener?.reasoning?.(reasoning);
  if (text !== "") listener?.text?.(text);
  const calls = (said.calls ?? []).map((call, index): ToolCall => {
    const args = typeof call.args === "string" ? call.args : JSON.stringify(call.args ?? {});
    return {
      $typeName: "guildhall.v1.ToolCall",
      callId: call.id ?? `call_${number}_${index + 1}`,
      tool: call.tool,
      arguments: filled(args, number),
      masked: false,
    };
  });
  const toolCalls = withOwnIds(calls, request.messages, (call, time) => `${call.callId}_${time + 1}`);
  const used = said.usage ?? {};
  const written = text.length + reasoning.length + toolCalls.reduce((sum, call) => sum + call.arguments.length, 0);
  return {
    text,
    reasoning,
    toolCalls,
    finishReason: said.finish ?? (toolCalls.length > 0 ? "tool_calls" : "stop"),
    usage: {
      $typeName: "guildhall.v1.Usage",
      inputTokens: used.input ?? estimate(request.messages.reduce((sum, message) => sum + message.text.length, 0)),
      cachedInputTokens: used.cached ?? 0,
      cacheWriteTokens: used.cache_write ?? 0,
      outputTokens: used.output ?? estimate(written),
      reasoningTokens: used.reasoning ?? 0,
      costUsd: used.cost_usd ?? 0,
      costKnown: true,
    },
    providerData: "",
  };
}

/** `{{step}}` is the number of the reply, counted from 1. */
function filled(text: string, number: number): string {
  return text.replaceAll("{{step}}", String(number));
}

/** About four characters make a token; enough for budgets and displays. */
function estimate(characters: number): number {
  return Math.ceil(characters / 4);
}

function shown(text: string): string {
  const short = text.length > 300 ? `${text.slice(0, 150)} … ${text.slice(-150)}` : text;
  return JSON.stringify(short);
}
