/**
 * The process in which llama.cpp runs: its memory, its threads and whatever a damaged file makes it do are kept out of the daemon. Arguments: the model's file, the
 * context in tokens, the threads. Takes `EngineRequest`, one after another, and answers with `EngineAnswer`.
 */
import { constants, setPriority } from "node:os";

import type * as NodeLlama from "node-llama-cpp";
import type { Llama, LlamaContextSequence, LlamaEmbeddingContext, LlamaModel, Token } from "node-llama-cpp";

import type { EngineAnswer, EngineFault, EngineRequest, Generated, GenerateRequest } from "./engine-messages.ts";

/** Tokens of a prompt that are computed between two looks at whether anybody still waits. */
const CHUNK = 256;

class EngineError extends Error {
  readonly reason: EngineFault;

  constructor(reason: EngineFault, message: string) {
    super(message);
    this.reason = reason;
  }
}

type Library = typeof NodeLlama;

interface Loaded {
  library: Library;
  llama: Llama;
  model: LlamaModel;
}

const [file = "", context = "0", threads = "1"] = process.argv.slice(2);
const contextSize = Number(context);
const cancelled = new Set<number>();
let turn: Promise<void> = Promise.resolve();
let loading: Promise<Loaded> | undefined;
let sequence: Promise<LlamaContextSequence> | undefined;
let embedding: Promise<LlamaEmbeddingContext> | undefined;

// Whoever else works on this machine comes first.
setPriority(constants.priority.PRIORITY_BELOW_NORMAL);
process.on("disconnect", () => process.exit(0));
process.on("message", (request: EngineRequest) => {
  if (request.kind === "cancel") cancelled.add(request.id);
  else turn = turn.then(() => serve(request));
});

async function serve(request: Exclude<EngineRequest, { kind: "cancel" }>): Promise<void> {
  const { id } = request;
  try {
    if (request.kind === "generate") tell({ id, kind: "generated", generated: await generate(id, request.generate) });
    else tell({ id, kind: "embedded", vectors: await embed(id, request.texts) });
  } catch (error) {
    const reason = error instanceof EngineError ? error.reason : "failed";
    tell({ id, kind: "failed", reason, message: error instanceof Error ? error.message : String(error) });
  } finally {
    cancelled.delete(id);
  }
}

function tell(answer: EngineAnswer): void {
  process.send?.(answer);
}

async function load(): Promise<Loaded> {
  try {
    const library = await import("node-llama-cpp");
    const llama = await library.getLlama({
      gpu: false,
      // What npm brought, and nothing else: no compiler is started and nothing is fetched.
      build: "never",
      skipDownload: true,
      progressLogs: false,
      logLevel: library.LlamaLogLevel.error,
      maxThreads: Number(threads),
    });
    return { library, llama, model: await llama.loadModel({ modelPath: file }) };
  } catch (error) {
    loading = undefined;
    throw new EngineError("load", error instanceof Error ? error.message : String(error));
  }
}

async function openSequence({ model }: Loaded): Promise<LlamaContextSequence> {
  try {
    const opened = await model.createContext({ contextSize, sequences: 1, threads: Number(threads) });
    return opened.getSequence();
  } catch (error) {
    sequence = undefined;
    throw new EngineError("load", `a context of ${contextSize} tokens: ${error instanceof Error ? error.message : String(error)}`);
  }
}

async function generate(id: number, request: GenerateRequest): Promise<Generated> {
  const loaded = await (loading ??= load());
  const { library, llama, model } = loaded;
  const state = await (sequence ??= openSequence(loaded));
  const wrapper = library.resolveChatWrapper(model);
  const { contextText, stopGenerationTriggers } = wrapper.generateContextState({
    chatHistory: [
      ...request.messages.map(({ role, text }) => (role === "model" ? { type: role, response: [text] } : { type: role, text })),
      // Where the model goes on.
      { type: "model" as const, response: [""] },
    ],
  });
  const tokens = contextText.tokenize(model.tokenizer);
  const room = contextSize - tokens.length;
  if (room < 16) throw new EngineError("overflow", `the conversation has ${tokens.length} tokens, the context ${contextSize}`);
  const ends = stopGenerationTriggers
    .map((trigger) => library.LlamaText(trigger).tokenize(model.tokenizer))
    .filter((end) => end.length > 0);

  // What is the same as in the request before is computed already; the last token is always computed, for it gives the next.
  await state.adaptStateToTokens(tokens.slice(0, -1), false);
  const cachedTokens = state.nextTokenIndex;
  for (let at = cachedTokens; at < tokens.length - 1; at += CHUNK) {
    refuseCancelled(id);
    await state.evaluateWithoutGeneratingNewTokens(tokens.slice(at, Math.min(at + CHUNK, tokens.length - 1)));
  }
  const most = Math.min(request.maxTokens, room - 1);
  const grammar = request.grammar === undefined ? undefined : grammarState(library, llama, model, request.grammar);
  const written = new Writer(model, (text) => tell({ id, kind: "delta", text }));
  let outputTokens = 0;
  let finish: Generated["finish"] = "length";
  const options = {
    temperature: request.temperature,
    topP: 0.95,
    yieldEogToken: true,
    ...(grammar === undefined ? {} : { grammarEvaluationState: grammar }),
  };
  for await (const token of state.evaluate(tokens.slice(-1), options)) {
    refuseCancelled(id);
    if (model.isEogToken(token)) finish = "stop";
    else {
      outputTokens += 1;
      written.push(token);
      if (ends.some((end) => written.endsWith(end))) finish = "stop";
    }
    if (finish === "stop" || outputTokens >= most) break;
  }
  return { text: written.end(), finish, inputTokens: tokens.length, cachedTokens, outputTokens };
}

function grammarState(library: Library, llama: Llama, model: LlamaModel, text: string) {
  try {
    return new library.LlamaGrammarEvaluationState({ model, grammar: new library.LlamaGrammar(llama, { grammar: text }) });
  } catch (error) {
    throw new EngineError("grammar", error instanceof Error ? error.message : String(error));
  }
}

function refuseCancelled(id: number): void {
  if (cancelled.has(id)) throw new EngineError("cancelled", "the request was given up");
}

/** Text out of tokens, which may be parts of a character. */
class Writer {
  readonly #model: LlamaModel;
  readonly #tell: (text: string) => void;
  readonly #all: Token[] = [];
  #told = 0;
  #text = "";

  constructor(model: LlamaModel, tell: (text: string) => void) {
    this.#model = model;
    this.#tell = tell;
  }

  push(token: Token): void {
    this.#all.push(token);
    const text = this.#pending();
    // A character that is not whole yet; no more than four bytes are waited for.
    if (text.endsWith("\uFFFD") && this.#all.length - this.#told < 4) return;
    this.#take(text);
  }

  endsWith(end: readonly Token[]): boolean {
    const from = this.#all.length - end.length;
    return from >= 0 && end.every((token, at) => this.#all[from + at] === token);
  }

  end(): string {
    if (this.#told < this.#all.length) this.#take(this.#pending());
    return this.#text;
  }

  #pending(): string {
    return this.#model.detokenize(this.#all.slice(this.#told), false, this.#all.slice(Math.max(0, this.#told - 8), this.#told));
  }

  #take(text: string): void {
    this.#told = this.#all.length;
    this.#text += text;
    this.#tell(text);
  }
}

async function embed(id: number, texts: readonly string[]): Promise<Float32Array[]> {
  const { model } = await (loading ??= load());
  const opened = await (embedding ??= model.createEmbeddingContext({ contextSize, threads: Number(threads) }));
  const vectors: Float32Array[] = [];
  for (const text of texts) {
    refuseCancelled(id);
    // Two are the marks of beginning and end.
    const tokens = model.tokenize(text.slice(0, contextSize * LONGEST_TOKEN).toWellFormed()).slice(0, contextSize - 2);
    if (tokens.length === 0) {
      vectors.push(new Float32Array(model.embeddingVectorSize));
      continue;
    }
    const { vector } = await opened.getEmbeddingFor(tokens);
    const length = Math.hypot(...vector);
    vectors.push(Float32Array.from(vector, (value) => (length > 0 ? value / length : 0)));
  }
  return vectors;
}

/** Characters of a long token: more text than the context could hold is not even cut into tokens. */
const LONGEST_TOKEN = 16;
