import {
  type ActionRisk,
  type CommandJudge,
  GuildError,
  type Masker,
  type Resource,
  type Tool,
  type ToolContext,
  type ToolRegistry,
  type ToolResult,
} from "@guildhall/core";
import { Risk, type ToolCall } from "@guildhall/protocol";

import { boundText } from "./bounded-text.ts";
import { closest } from "./closest.ts";
import { hiddenTools } from "./offer-tools.ts";
import { readArguments } from "./tool-arguments.ts";

/** A call as the model wrote it. */
export type RawCall = Pick<ToolCall, "callId" | "tool" | "arguments">;

/** A call whose tool and arguments are known to be good, with all that must be decided before it runs. */
export interface PreparedCall {
  callId: string;
  tool: Tool;
  input: unknown;
  risk: Risk;
  /** Why, where it was analysed. */
  reasons?: readonly string[];
  resources: Resource[];
  /** What leaves with it, and where to; undefined: nothing. */
  sends?: string;
  repeatable: boolean;
}

/**
 * Finds the tool and validates the arguments; what the model did wrong comes back as the observation of the call. With `judge` the risk
 * comes from analysis where the tool knows one. Never throws.
 */
export function prepareCall(
  registry: ToolRegistry,
  call: RawCall,
  judge?: CommandJudge,
): { prepared: PreparedCall } | { refused: ToolResult } {
  const tool = registry.get(call.tool);
  if (tool === undefined) {
    const all = registry.list();
    const near = closest(
      call.tool,
      all.map(({ name }) => name),
    );
    const hint = near === undefined ? "" : ` Did you mean ${near}?`;
    // Those that are found by search are told of there, however many they are.
    const hidden = hiddenTools(all);
    const shown = all.filter((one) => !hidden.has(one)).map(({ name }) => name);
    return refused(`There is no tool ${JSON.stringify(call.tool.slice(0, 100))}.${hint} Tools: ${shown.join(", ")}.`);
  }
  const read = readArguments(tool, call.arguments);
  if (!read.ok) return refused(`The call of ${tool.name} was not run: ${read.problem}`);
  const { input } = read;
  try {
    const assessed = riskOf(tool, input, judge);
    const sends = tool.sends?.(input) ?? sendsAbroad(tool, assessed.risk);
    return {
      prepared: {
        callId: call.callId,
        tool,
        input,
        ...assessed,
        ...(sends === undefined ? {} : { sends }),
        resources: tool.resources(input),
        repeatable: tool.repeatable(input),
      },
    };
  } catch (error) {
    return refused(`The call of ${tool.name} was not run: ${GuildError.from(error).line}`);
  }
}

/** What a foreign server is told by a risky call has left; what runs in the sandbox is held by the network policy. */
function sendsAbroad({ source }: Tool, risk: Risk): string | undefined {
  return /^(mcp|openapi):/.test(source) && risk === Risk.HIGH ? source : undefined;
}

/** What cannot be told is high. */
function riskOf(tool: Tool, input: unknown, judge: CommandJudge | undefined): ActionRisk {
  try {
    if (judge !== undefined && tool.assess !== undefined) return tool.assess(input, judge);
    return { risk: tool.risk(input), reasons: [] };
  } catch (error) {
    return { risk: Risk.HIGH, reasons: [`its risk could not be told (${GuildError.from(error).message})`] };
  }
}

/**
 * Runs a prepared call. The result's text is bounded and masked, its data masked. A tool that throws gives an observation with status
 * `error`; only the end of the call itself is thrown: GuildError `cancelled` once `context.signal` has aborted.
 */
export async function runPrepared(prepared: PreparedCall, context: ToolContext): Promise<ToolResult> {
  const masker = context.session.masker;
  let result: ToolResult;
  try {
    context.signal.throwIfAborted();
    result = await prepared.tool.execute(prepared.input, context);
  } catch (error) {
    if (context.signal.aborted) {
      throw new GuildError("cancelled", `the call of ${prepared.tool.name} was cancelled`, { subject: prepared.callId, cause: error });
    }
    result = { status: "error", output: `${prepared.tool.name} failed: ${GuildError.from(error).line}` };
  }
  const output = boundText(masker === undefined ? result.output : masker.mask(result.output));
  const masked: ToolResult = { ...result, output };
  if (masker !== undefined && result.data !== undefined) masked.data = maskData(result.data, masker);
  if (masker !== undefined && result.finish !== undefined) {
    masked.finish = { ...result.finish, summary: masker.mask(result.finish.summary) };
  }
  return masked;
}

/** `prepareCall` and `runPrepared` in one: for callers without a policy of their own. */
export async function runTool(registry: ToolRegistry, call: RawCall, context: Omit<ToolContext, "callId">): Promise<ToolResult> {
  const outcome = prepareCall(registry, call);
  if ("refused" in outcome) return outcome.refused;
  return runPrepared(outcome.prepared, { ...context, callId: call.callId });
}

function refused(output: string): { refused: ToolResult } {
  return { refused: { status: "error", output: boundText(output) } };
}

function maskData(value: unknown, masker: Masker): unknown {
  if (typeof value === "string") return masker.mask(value);
  if (Array.isArray(value)) return value.map((entry) => maskData(entry, masker));
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, maskData(entry, masker)]));
  }
  return value;
}
