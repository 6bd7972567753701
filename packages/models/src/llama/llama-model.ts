import { type Clock, type Model, ModelError, type ModelInfo, type ModelRequest } from "@guildhall/core";
import { PromptRole } from "@guildhall/protocol";

import { schemaGrammar } from "../text-protocol/write-grammar.ts";
import type { GenerateRequest } from "./engine-messages.ts";
import { type Engine, EngineFailure } from "./engine.ts";

/** Enough for one step; a model of this size that says more has lost its thread. */
const MOST_OUTPUT = 4_096;
const TEMPERATURE = 0.5;

/** A model file in llama.cpp, told of tools as text; `replyGrammar` and `replySchema` bind what it may write. The first call loads it. */
export function llamaModel(engine: Engine, options: { info: ModelInfo; file: string; clock: Clock }): Model {
  const { info, clock } = options;
  return {
    info,
    async generate(request, signal, listener) {
      const started = clock.monotonic();
      try {
        const done = await engine.generate(toGenerate(request, info), signal, (text) => listener?.text?.(text));
        if (done.text.trim() === "") {
          throw done.finish === "length"
            ? new ModelError("truncated", "the reply reached the limit of its length before it said anything")
            : new ModelError("empty", "the reply holds neither text nor a tool call");
        }
        return {
          text: done.text,
          reasoning: "",
          toolCalls: [],
          finishReason: done.finish,
          usage: {
            $typeName: "guildhall.v1.Usage",
            inputTokens: done.inputTokens,
            cachedInputTokens: done.cachedTokens,
            cacheWriteTokens: 0,
            outputTokens: done.outputTokens,
            reasoningTokens: 0,
            costUsd: 0,
            costKnown: true,
          },
          durationMs: Math.max(0, Math.round(clock.monotonic() - started)),
          model: info.spec,
          providerData: "",
        };
      } catch (error) {
        throw named(error, options.file, signal);
      }
    },
    // Its process ends by itself when nobody has asked for a while: the next turn finds the model loaded.
    close: () => Promise.resolve(),
  };
}

function toGenerate(request: ModelRequest, info: ModelInfo): GenerateRequest {
  const grammar = request.replyGrammar ?? (request.replySchema === undefined ? undefined : schemaGrammar(request.replySchema));
  return {
    messages: request.messages.map(({ role, text }) => ({
      role: role === PromptRole.SYSTEM ? "system" : role === PromptRole.ASSISTANT ? "model" : "user",
      text,
    })),
    grammar,
    maxTokens: Math.min(request.maxOutputTokens ?? MOST_OUTPUT, info.maxOutputTokens),
    temperature: TEMPERATURE,
  };
}

function named(error: unknown, file: string, signal: AbortSignal): unknown {
  if (signal.aborted) return new ModelError("cancelled", "the call was cancelled", { cause: error });
  if (!(error instanceof EngineFailure)) return error;
  switch (error.reason) {
    case "overflow":
      return new ModelError("context_overflow", error.message, { cause: error });
    case "load":
      return new ModelError("unreachable", `${file} cannot be loaded: ${error.message}`, {
        remedy: "check the file, the memory it needs, and that node-llama-cpp is installed (npm install --include=optional)",
        cause: error,
      });
    case "grammar":
      return new ModelError("bad_request", `llama.cpp refuses the grammar of the reply: ${error.message}`, { cause: error });
    default:
      return new ModelError("other", `${file}: ${error.message}`, {
        remedy: "try again; if it ends again, the file or llama.cpp is at fault",
        cause: error,
      });
  }
}
