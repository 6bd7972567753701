import type { ModelReplied, PromptMessage, ToolSchema } from "@guildhall/protocol";

export interface ModelRequest {
  sessionId: string;
  messages: PromptMessage[];
  tools: ToolSchema[];
  maxOutputTokens?: number;
  /** JSON Schema that the whole text of the reply is to fit. A model that cannot enforce it does without. */
  replySchema?: Record<string, unknown>;
  /** GBNF grammar (llama.cpp) that the whole text of the reply is to fit. A model that cannot enforce it does without. */
  replyGrammar?: string;
  /** Bytes of the messages' pictures by digest; what is not here is not shown. */
  images?: ReadonlyMap<string, Uint8Array>;
}

export interface ModelListener {
  /** Text as it comes; a later failure of the call may make it void. */
  text?(delta: string): void;
  reasoning?(delta: string): void;
  /** A wait before another attempt, in words: `retry 2 in 3 s: 429 rate limited`. */
  waiting?(reason: string): void;
}

/** Everything of a ModelReplied event but the step and the last sequence seen, which the session knows. */
export type ModelReply = Omit<ModelReplied, "$typeName" | "$unknown" | "step" | "seenSeq" | "activeMs">;

/** Why a call came to nothing; the same words as `ModelFailed.kind`. */
export type ModelFailureKind =
  | "authentication"
  | "not_found"
  | "unreachable"
  | "rate_limited"
  | "overloaded"
  | "bad_request"
  | "context_overflow"
  | "empty"
  | "truncated"
  | "malformed"
  | "too_large"
  | "cut"
  | "cancelled"
  | "script"
  | "other";

/** Thrown by `generate`, after the retries that the kind allows. */
export class ModelError extends Error {
  override readonly name = "ModelError";
  readonly kind: ModelFailureKind;
  readonly attempts: number;
  readonly remedy: string | undefined;

  constructor(kind: ModelFailureKind, message: string, options: { attempts?: number; remedy?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.kind = kind;
    this.attempts = options.attempts ?? 1;
    this.remedy = options.remedy;
  }
}

export interface ModelInfo {
  /** The specification it was opened with: `anthropic/…`. */
  spec: string;
  provider: string;
  contextTokens: number;
  maxOutputTokens: number;
  /** USD per million tokens; undefined: not known. */
  price: { input: number; cachedInput: number; cacheWrite: number; output: number } | undefined;
  /** How it is told of tools and calls them: `functions` of its service (default), `text`, or `json` under a schema. */
  tools?: "functions" | "text" | "json";
}

/**
 * One opened model. Nothing of a reply is acted upon before the whole has arrived: a stream that is cut in a tool call throws `cut`.
 */
export interface Model {
  readonly info: ModelInfo;
  generate(request: ModelRequest, signal: AbortSignal, listener?: ModelListener): Promise<ModelReply>;
  close(): Promise<void>;
}

export interface OpenModel {
  spec: string;
  baseUrl?: string;
  /** Provider keys by the name of their usual environment variable: `ANTHROPIC_API_KEY`. */
  credentials: Record<string, string>;
  /** Where scripts and recordings with relative paths are looked up. */
  directory?: string;
  /** Replies of this session in the log so far: where a scripted or replayed model goes on. */
  step?: number;
}

export interface ModelProvider {
  /** Throws GuildError `invalid_argument` / `not_found` / `unauthenticated` with a remedy: unknown model, missing key. Makes no request. */
  open(open: OpenModel): Promise<Model>;
  /**
   * The model for a caller who named none: the configured default, else a provider whose key is at hand, else a local server that
   * answers on its usual port. Throws `failed_precondition` with how to get one.
   */
  choose(options: {
    configured?: string;
    credentials: Record<string, string>;
  }): Promise<{ spec: string; baseUrl?: string; reason: string }>;
}
