import type { LanguageModelV4, LanguageModelV4FunctionTool, LanguageModelV4Usage, SharedV4ProviderOptions } from "@ai-sdk/provider";
import { type Clock, type Model, ModelError, type ModelInfo, type ModelListener, type ModelRequest } from "@guildhall/core";
import type { ToolSchema, Usage } from "@guildhall/protocol";

import { withOwnIds } from "./call-ids.ts";
import { failureOf, type Failure, type FailureContext } from "./failure.ts";
import type { CostOf } from "./prices.ts";
import { type Dialect, toPrompt, toTools } from "./prompt.ts";
import { collectReply, type CollectedReply, StreamFault } from "./reply.ts";
import { backoffMs, pause, type RetryPolicy } from "./retry.ts";

/** What makes a provider package's language model a Model of ours. */
export interface LanguageModelParts {
  /** Called once, when the model is first asked. */
  model(): LanguageModelV4;
  info: ModelInfo;
  dialect: Dialect;
  /** Options of the provider that depend on the request: where its cache is to be looked for. */
  providerOptions(request: ModelRequest): SharedV4ProviderOptions | undefined;
  /** The service can be told to write nothing but what fits a JSON Schema. */
  schemas: boolean;
  /** Undefined: the price is not known. */
  costOf: CostOf | undefined;
  /** Everything that failures need but the time. */
  context: Omit<FailureContext, "now">;
  clock: Clock;
  /** In [0, 1). */
  random: () => number;
  retry: RetryPolicy;
}

/** A model behind HTTP: the conversation is translated, the stream read to its end, failures are named, and those that pass are waited out. */
export function languageModel(parts: LanguageModelParts): Model {
  const tools = toolMemo();
  let made: LanguageModelV4 | undefined;
  return {
    info: parts.info,
    async generate(request, signal, listener) {
      const started = parts.clock.monotonic();
      const offered = tools(request.tools);
      const reply = await withRetries(parts, signal, listener, () =>
        attempt((made ??= parts.model()), parts, request, offered, signal, listener),
      );
      return {
        text: reply.text,
        reasoning: reply.reasoning,
        toolCalls: withOwnIds(reply.toolCalls, request.messages, () => randomId(parts.random)),
        finishReason: reply.finishReason,
        usage: usageOf(reply.usage, parts.costOf),
        durationMs: Math.max(0, Math.round(parts.clock.monotonic() - started)),
        model: parts.info.spec,
        providerData: reply.providerData,
      };
    },
    close: async () => {},
  };
}

/** The service says that this model cannot call functions: the text protocol can help. */
export class NoToolsError extends ModelError {}

async function attempt(
  model: LanguageModelV4,
  parts: LanguageModelParts,
  request: ModelRequest,
  tools: LanguageModelV4FunctionTool[],
  signal: AbortSignal,
  listener: ModelListener | undefined,
): Promise<CollectedReply> {
  const providerOptions = parts.providerOptions(request);
  const { stream } = await model.doStream({
    prompt: toPrompt(request.messages, parts.dialect, request.images),
    ...(tools.length === 0 ? {} : { tools }),
    ...(request.replySchema === undefined || !parts.schemas
      ? {}
      : { responseFormat: { type: "json" as const, name: "reply", schema: request.replySchema } }),
    ...(request.maxOutputTokens === undefined ? {} : { maxOutputTokens: request.maxOutputTokens }),
    ...(providerOptions === undefined ? {} : { providerOptions }),
    abortSignal: signal,
  });
  return collectReply(stream, parts.dialect.vendor, listener);
}

async function withRetries(
  parts: LanguageModelParts,
  signal: AbortSignal,
  listener: ModelListener | undefined,
  once: () => Promise<CollectedReply>,
): Promise<CollectedReply> {
  const { clock, retry, random } = parts;
  let attempts = 0;
  let loadingSince: number | undefined;
  for (;;) {
    attempts++;
    try {
      signal.throwIfAborted();
      return await once();
    } catch (error) {
      if (signal.aborted) throw new ModelError("cancelled", "the call was cancelled", { attempts, cause: error });
      if (error instanceof ModelError) throw error;
      const begun = error instanceof StreamFault && error.begun;
      const failure = failureOf(error instanceof StreamFault ? error.cause : error, { ...parts.context, now: clock.now() });
      const give = (): ModelError =>
        new (failure.noTools === true ? NoToolsError : ModelError)(failure.kind, failure.message, {
          attempts,
          cause: error,
          ...(failure.remedy === undefined ? {} : { remedy: failure.remedy }),
        });
      if (failure.loading === true) {
        loadingSince ??= clock.monotonic();
        if (clock.monotonic() - loadingSince > retry.loadingMs) throw give();
        attempts--;
        await wait(1000, failure, retry.attempts);
        continue;
      }
      const most = failure.slow === true ? Math.min(2, retry.attempts) : retry.attempts;
      const late = (failure.retryAfterMs ?? 0) > retry.longestRetryAfterMs;
      // What has been shown to people would be shown again: a reply that had begun is not asked for anew behind their backs.
      if (!failure.retry || begun || late || attempts >= most) throw give();
      await wait(backoffMs(retry, attempts, failure.retryAfterMs, random), failure, most);
    }
  }

  async function wait(ms: number, failure: Failure, most: number): Promise<void> {
    listener?.waiting?.(`retry ${attempts + 1} of ${most} in ${seconds(ms)} s: ${failure.message}`);
    try {
      await pause(clock, ms, signal);
    } catch (error) {
      throw new ModelError("cancelled", "the call was cancelled while it waited for another attempt", { attempts, cause: error });
    }
  }
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(ms < 10_000 ? 1 : 0);
}

/** Random, so that it meets none that has left the conversation since. */
function randomId(random: () => number): string {
  return `call_${Math.floor(random() * 36 ** 10)
    .toString(36)
    .padStart(10, "0")}`;
}

function usageOf(usage: LanguageModelV4Usage | undefined, costOf: CostOf | undefined): Usage {
  const { inputTokens, outputTokens } = usage ?? {};
  const counts = {
    inputTokens: tokens(inputTokens?.total),
    cachedInputTokens: tokens(inputTokens?.cacheRead),
    cacheWriteTokens: tokens(inputTokens?.cacheWrite),
    outputTokens: tokens(outputTokens?.total),
    reasoningTokens: tokens(outputTokens?.reasoning),
  };
  // OpenRouter says what it took; no table knows better.
  const billed = (usage?.raw as { cost?: unknown } | undefined)?.cost;
  const cost = typeof billed === "number" ? billed : costOf?.(counts);
  return { $typeName: "guildhall.v1.Usage", ...counts, costUsd: cost ?? 0, costKnown: cost !== undefined };
}

function tokens(count: number | undefined): number {
  return count === undefined || !Number.isFinite(count) || count < 0 ? 0 : Math.min(Math.round(count), 0xffff_ffff);
}

/** The same tools come with every request of a session: their schemas are parsed once. */
function toolMemo(): (tools: ToolSchema[]) => LanguageModelV4FunctionTool[] {
  let last: ToolSchema[] = [];
  let made: LanguageModelV4FunctionTool[] = [];
  return (tools) => {
    const same =
      tools.length === last.length &&
      tools.every((tool, index) => {
        const before = last[index];
        return tool === before || (tool.name === before?.name && tool.description === before.description && tool.schema === before.schema);
      });
    if (!same) made = toTools(tools);
    last = tools;
    return made;
  };
}
