import { InvalidResponseDataError, JSONParseError, TypeValidationError } from "@ai-sdk/provider";
import type { ModelFailureKind } from "@guildhall/core";

import { parseRetryAfter } from "./retry.ts";
import { readErrorBody, readServiceError, type ServiceError } from "./service-error.ts";
import { TransportError, type TransportFault } from "./transport.ts";
import type { Vendor } from "./vendors.ts";

/** What an attempt came to, and whether another may help. */
export interface Failure {
  kind: ModelFailureKind;
  message: string;
  remedy: string | undefined;
  /** Another attempt may succeed. */
  retry: boolean;
  /** The service said when to come back, milliseconds from now. */
  retryAfterMs?: number;
  /** The attempt took as long as one may: not more than two of them. */
  slow?: boolean;
  /** The server is busy loading the model: waiting is not an attempt. */
  loading?: boolean;
  /** The model, or its server as it was started, cannot call functions. */
  noTools?: boolean;
}

/** Whom the attempt asked for what; goes into the remedies. */
export interface FailureContext {
  vendor: Vendor;
  model: string;
  baseUrl: string;
  /** The key that was sent, so that no message repeats it. */
  key: { variable: string; value: string } | undefined;
  now: Date;
}

/**
 * Reads whatever an attempt threw, or a stream reported: the transport's faults, the service's errors with their status, code and words, and faults
 * of the stream's structure. Every provider has words of its own for a prompt that is too long.
 */
export function failureOf(error: unknown, context: FailureContext): Failure {
  const transport = inCauses(error, (cause) => cause instanceof TransportError);
  if (transport !== undefined && transport.fault !== "not_a_stream") return transportFailure(transport, context);
  const facts = transport?.body === undefined ? readServiceError(error) : readErrorBody(transport.body);
  const failure =
    facts.status === undefined && facts.code === undefined ? unnamed(error, transport, facts, context) : named(facts, context);
  return { ...failure, message: masked(failure.message, context) };
}

/** An error that carries a status or a code of the service. */
function named(facts: ServiceError, context: FailureContext): Failure {
  const { vendor, model } = context;
  const said = `${facts.code ?? ""} ${facts.message}`;
  const status = facts.status ?? statusOfCode(facts.code ?? "");
  const retryAfterMs = parseRetryAfter(facts.headers, context.now);
  const after = retryAfterMs === undefined ? {} : { retryAfterMs };
  const failure = (kind: ModelFailureKind, retry: boolean, remedy?: string): Failure => ({
    kind,
    message: `${vendor.title}${facts.status === undefined ? "" : ` answered ${facts.status}`}: ${facts.message || "no reason given"}`,
    remedy,
    retry,
    ...after,
  });
  if (CONTEXT_OVERFLOW.test(said))
    return failure("context_overflow", false, "shorten the conversation or take a model with a larger context");
  if (NO_CREDIT.test(said) || status === 402)
    return failure("rate_limited", false, `add credit to the ${vendor.title} account or take another model`);
  if (NO_TOOLS.test(said)) {
    const remedy = "take a model that can call tools, or let its server offer them (llama-server --jinja, vllm --enable-auto-tool-choice)";
    return { ...failure("bad_request", false, remedy), noTools: true };
  }
  if (status === 401 || status === 403 || /invalid.{0,5}api.?key|api.?key.{0,20}not valid/i.test(said)) {
    const remedy =
      context.key === undefined
        ? `set ${vendor.keys[0] ?? "a key"}`
        : `check ${context.key.variable}, or whether its account may use ${model}`;
    return failure("authentication", false, remedy);
  }
  if (status === 404) {
    return /model/i.test(said)
      ? failure("not_found", false, vendor.modelRemedy.replaceAll("<model>", model).replaceAll("<base URL>", context.baseUrl))
      : failure("not_found", false, `check the base URL ${context.baseUrl} (it usually ends in /v1), and that it has the model ${model}`);
  }
  if (status === 413) return failure("context_overflow", false, "shorten the conversation or take a model with a larger context");
  if (status === 429) return failure("rate_limited", true, "wait, or take another model");
  if (status === 503 && /loading/i.test(facts.message))
    return { ...failure("overloaded", true, "wait until the server has loaded its model"), loading: true };
  if (status === 529 || status === 503 || OVERLOADED.test(said))
    return failure("overloaded", true, "try again later, or take another model");
  if (status === 408 || status === 409 || status >= 500)
    return failure("overloaded", true, `see whether ${context.baseUrl} is in trouble, or try again later`);
  if (status >= 300 && status < 400)
    return failure("not_found", false, `the address has moved: give the final one instead of ${context.baseUrl}`);
  if (status >= 400) return failure("bad_request", false);
  return failure("other", false);
}

/** An error without status or code: a fault of the stream itself, or of something that is no service. */
function unnamed(error: unknown, transport: TransportError | undefined, facts: ServiceError, context: FailureContext): Failure {
  if (transport !== undefined) {
    const told = facts.message === "" ? "" : `: ${facts.message}`;
    return failure(
      "malformed",
      `${context.baseUrl} did not answer as a model service: ${transport.message}${told}`,
      `check the base URL (it usually ends in /v1)`,
    );
  }
  if (/without a finish reason|stream ended|terminated/i.test(facts.message))
    return { ...failure("cut", "the stream ended in the middle of the reply"), retry: true };
  // The Anthropic package has these words for a first event that it cannot read.
  if (inCauses(error, isStructural) !== undefined || /expected a normalized/i.test(facts.message))
    return failure("malformed", `${context.vendor.title} sent a stream that cannot be read: ${facts.message}`);
  if (CONTEXT_OVERFLOW.test(facts.message))
    return failure("context_overflow", facts.message, "shorten the conversation or take a model with a larger context");
  if (OVERLOADED.test(facts.message))
    return { ...failure("overloaded", facts.message, "try again later, or take another model"), retry: true };
  return failure("other", `${context.vendor.title}: ${facts.message}`);

  function failure(kind: ModelFailureKind, message: string, remedy?: string): Failure {
    return { kind, message, remedy, retry: false };
  }
}

function transportFailure(error: TransportError, context: FailureContext): Failure {
  const where = context.baseUrl;
  const kinds: Record<TransportFault, ModelFailureKind> = {
    first_byte: "unreachable",
    connection: "unreachable",
    idle: "cut",
    cut: "cut",
    too_large: "too_large",
    not_a_stream: "malformed",
  };
  const kind = kinds[error.fault];
  const remedy = kind === "unreachable" ? unreachableRemedy(error.code, context) : undefined;
  const retry = kind === "unreachable" || kind === "cut";
  return { kind, message: `${context.vendor.title} at ${where}: ${error.message}`, remedy, retry, slow: error.fault === "first_byte" };
}

function unreachableRemedy(code: string | undefined, { vendor, baseUrl }: FailureContext): string {
  if (code === "ECONNREFUSED")
    return vendor.local ? `start ${vendor.title}, or give its address` : `see whether a server listens at ${baseUrl}`;
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") return "check the host name and the network";
  if (code?.includes("CERT") === true || code === "DEPTH_ZERO_SELF_SIGNED_CERT")
    return "check the server's certificate (NODE_EXTRA_CA_CERTS adds your own authority)";
  return "check the network, or the proxy's settings";
}

function isStructural(error: unknown): error is Error {
  return JSONParseError.isInstance(error) || TypeValidationError.isInstance(error) || InvalidResponseDataError.isInstance(error);
}

function inCauses<T>(error: unknown, is: (cause: unknown) => cause is T): T | undefined {
  for (let cause: unknown = error, depth = 0; cause !== undefined && depth < 8; depth++) {
    if (is(cause)) return cause;
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  return undefined;
}

function masked(message: string, { key }: FailureContext): string {
  return key === undefined || key.value.length < 4 ? message : message.replaceAll(key.value, "***");
}

function statusOfCode(code: string): number {
  if (/overloaded/.test(code)) return 529;
  if (/rate_limit|RESOURCE_EXHAUSTED/.test(code)) return 429;
  if (/authentication|invalid_api_key|UNAUTHENTICATED|permission|PERMISSION_DENIED/.test(code)) return 401;
  if (/not_found|NOT_FOUND/.test(code)) return 404;
  if (/server_error|api_error|timeout|INTERNAL|UNAVAILABLE|DEADLINE/.test(code)) return 500;
  if (/invalid|INVALID_ARGUMENT/.test(code)) return 400;
  return 0;
}

/** Anthropic, OpenAI, Google, OpenRouter, llama.cpp, vLLM, LM Studio, Ollama and Mistral, in their own words. */
const CONTEXT_OVERFLOW = new RegExp(
  [
    "context_length_exceeded",
    "exceed_context_size",
    "prompt is too long",
    "exceed(s|ed)? (the |this model's )?(available |maximum )?context",
    "maximum context length",
    "input token count.{0,40}exceeds",
    "reduce the length of (the|your)",
    "context the overflows",
    "too large for model with \\d+ maximum context",
    "request_too_large",
    "context window",
    "input (is )?too long",
  ].join("|"),
  "i",
);
const OVERLOADED = /overloaded|over capacity|too many requests|at capacity|temporarily unavailable/i;
const NO_CREDIT =
  /insufficient_quota|credit balance is too low|exceeded your current quota, please check your plan|insufficient (credits|funds|balance)|payment required/i;
/** Ollama, llama.cpp and vLLM, of models or set-ups without tool calls; some of them with a status that looks as if it would pass. */
const NO_TOOLS =
  /does not support tools|requires --jinja|requires --enable-auto-tool-choice|tool use is not supported|no endpoints found that support tool use/i;
