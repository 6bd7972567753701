import { create } from "@bufbuild/protobuf";
import { type Model, ModelError, type ModelInfo, type ModelListener, type ModelReply, type ModelRequest } from "@guildhall/core";
import { ToolCallSchema, UsageSchema } from "@guildhall/protocol";

/** One call of a reply; arguments that are text are sent as they are, valid or not. */
export interface FakeCall {
  id?: string;
  tool: string;
  args?: unknown;
}

export interface FakeReply {
  text?: string;
  calls?: FakeCall[];
  usage?: { input?: number; output?: number; costUsd?: number; costKnown?: boolean };
}

/** What the model does when it is asked: a reply, a failure, or what a function makes of the request. */
export type FakeTurn =
  | FakeReply
  | ModelError
  | ((request: ModelRequest, signal: AbortSignal) => FakeReply | ModelError | Promise<FakeReply>);

/** A model that does as it is told, call by call, beginning at the given step; failures are told once. It keeps every request. */
export class FakeModel implements Model {
  readonly info: ModelInfo;
  readonly requests: ModelRequest[] = [];
  closed = 0;
  readonly #turns: (step: number) => FakeTurn;
  #step: number;
  readonly #failed = new Set<number>();

  constructor(turns: FakeTurn[] | ((step: number) => FakeTurn), options: { step?: number; info?: Partial<ModelInfo> } = {}) {
    this.#turns = typeof turns === "function" ? turns : (step) => turns[step] ?? new ModelError("script", "the script is over");
    this.#step = options.step ?? 0;
    this.info = {
      spec: "fake/model",
      provider: "fake",
      contextTokens: 200_000,
      maxOutputTokens: 8_192,
      price: { input: 1, cachedInput: 0.1, cacheWrite: 1.25, output: 5 },
      ...options.info,
    };
  }

  async generate(request: ModelRequest, signal: AbortSignal, listener?: ModelListener): Promise<ModelReply> {
    this.requests.push(request);
    // A model never answers in the same tick, and a test must not depend on that.
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
    if (signal.aborted) throw new ModelError("cancelled", "the call was cancelled", { cause: signal.reason });
    const turn = this.#turns(this.#step);
    const made = typeof turn === "function" ? await turn(request, signal) : turn;
    if (made instanceof ModelError) {
      if (!this.#failed.has(this.#step) && typeof turn !== "function") this.#step += 1;
      throw made;
    }
    this.#step += 1;
    for (const letter of made.text ?? "") listener?.text?.(letter);
    return reply(made);
  }

  async close(): Promise<void> {
    this.closed += 1;
  }
}

function reply({ text = "", calls = [], usage = {} }: FakeReply): ModelReply {
  return {
    text,
    reasoning: "",
    toolCalls: calls.map(({ id = "", tool, args = {} }) =>
      create(ToolCallSchema, { callId: id, tool, arguments: typeof args === "string" ? args : JSON.stringify(args) }),
    ),
    finishReason: calls.length > 0 ? "tool_calls" : "stop",
    usage: create(UsageSchema, {
      inputTokens: usage.input ?? 0,
      outputTokens: usage.output ?? 0,
      costUsd: usage.costUsd ?? 0,
      costKnown: usage.costKnown ?? true,
    }),
    durationMs: 1,
    model: "fake/model",
    providerData: "",
  };
}

/** Waits until the signal aborts, then fails as a cancelled call does. */
export async function untilCancelled(signal: AbortSignal): Promise<never> {
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
  throw new ModelError("cancelled", "the call was cancelled", { cause: signal.reason });
}
