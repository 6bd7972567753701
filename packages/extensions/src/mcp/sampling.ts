import { hash } from "node:crypto";

import { canonicalJson, GuildError, type Tool } from "@guildhall/core";
import { Risk, type Usage } from "@guildhall/protocol";
import type { CreateMessageRequestParams, CreateMessageResult } from "@modelcontextprotocol/client";
import { z } from "zod";

import { bounded, oneLine } from "../foreign/line.ts";

/** What a server wants a model to write, in the middle of a call. */
export interface SamplingRequest {
  server: string;
  /** The same for the same request of the same server. */
  id: string;
  system: string;
  messages: ReadonlyArray<{ role: "user" | "assistant"; text: string }>;
  /** Bounded already. */
  maxTokens: number;
}

/** Asks the session's model, within its limits and budgets. Throws a GuildError or ModelError that says why not. */
export type Sampler = (request: SamplingRequest, signal: AbortSignal) => Promise<{ text: string; model: string; usage?: Usage }>;

/** Tokens that a server gets at once, characters that it may send, and times in one session. */
const MOST_TOKENS = 4_096;
const MOST_TEXT = 100_000;
const MOST_TIMES = 20;

/**
 * Requests of servers for a model (sampling). None is answered before the person could see it: it is refused and remembered; the agent calls
 * `mcp_sample`, which is of high risk, and then the server's tool again. Each answer serves once, for exactly the request that it was made for.
 */
export class SamplingDesk {
  readonly #sampler: Sampler;
  readonly #asked = new Map<string, SamplingRequest>();
  readonly #told = new WeakSet<SamplingRequest>();
  readonly #answers = new Map<string, CreateMessageResult>();
  #times = 0;

  constructor(sampler: Sampler) {
    this.#sampler = sampler;
  }

  /** For the connection. Throws where there is no answer yet. */
  answer(server: string, params: CreateMessageRequestParams): CreateMessageResult {
    const request = read(server, params);
    const answer = this.#answers.get(request.id);
    this.#answers.delete(request.id);
    if (answer !== undefined) return answer;
    this.#asked.set(server, request);
    throw new GuildError("failed_precondition", "the person has to agree first", { subject: server });
  }

  /** What the server wants to have written, for the model to see; undefined: nothing that it has not been told of. */
  news(server: string): string | undefined {
    const request = this.#asked.get(server);
    if (request === undefined || this.#told.has(request)) return undefined;
    this.#told.add(request);
    const said = `${server} wants a model to write up to ${request.maxTokens} tokens (request ${request.id}):\n${bounded(textOf(request), 2_000)}`;
    return `${said}\n[To let it, call mcp_sample with this request, then the tool again. It may cost money, and the server reads the answer.]`;
  }

  /** The tool by which the agent has a request answered. */
  tool(): Tool {
    const schema = z.strictObject({
      server: z.string().min(1).describe("Name of the MCP server"),
      request: z.string().min(1).describe("Id of its request, as the last observation named it"),
    });
    const find = (input: z.output<typeof schema>): SamplingRequest | undefined => {
      const request = this.#asked.get(input.server);
      return request?.id === input.request ? request : undefined;
    };
    const tool: Tool<typeof schema> = {
      name: "mcp_sample",
      description: "Let the session's model write what an MCP server has asked for, for the server to read.",
      schema,
      source: "mcp",
      lazy: true,
      risk: () => Risk.HIGH,
      assess: (input) => {
        const request = find(input);
        const what = request === undefined ? "nothing that is known" : oneLine(textOf(request), 400);
        return { risk: Risk.HIGH, reasons: [`${input.server} has a model write and reads it: ${what}`] };
      },
      resources: () => [],
      repeatable: () => false,
      execute: async (input, { signal }) => {
        const request = find(input);
        if (request === undefined) return { status: "error", output: `${input.server} has made no such request that is still open.` };
        if (this.#times >= MOST_TIMES)
          return { status: "error", output: `MCP servers have used a model ${MOST_TIMES} times; that is all.` };
        this.#times += 1;
        const answer = await this.#sampler(request, signal).catch((error: unknown) => {
          signal.throwIfAborted();
          return GuildError.from(error);
        });
        if (answer instanceof GuildError) return { status: "error", output: `No model has written it: ${answer.line}` };
        const { text, model, usage } = answer;
        this.#asked.delete(input.server);
        this.#answers.set(request.id, { role: "assistant", model, stopReason: "endTurn", content: { type: "text", text } });
        const output = `Kept for the next request of ${input.server}, call the tool again. It reads:\n${bounded(text, 2_000)}`;
        return { status: "ok", output, ...(usage === undefined ? {} : { usage }) };
      },
    };
    return tool;
  }
}

function read(server: string, params: CreateMessageRequestParams): SamplingRequest {
  const messages = params.messages.map(({ role, content }) => ({
    role,
    text: [content]
      .flat()
      .map((part) => (part.type === "text" ? part.text : `[${part.type}]`))
      .join("\n"),
  }));
  const { systemPrompt: system = "" } = params;
  const size = messages.reduce((sum, { text }) => sum + text.length, system.length);
  if (size > MOST_TEXT)
    throw new GuildError("resource_exhausted", `a request for a model holds ${MOST_TEXT} characters at most`, { subject: server });
  const maxTokens = Math.max(1, Math.min(Math.trunc(params.maxTokens), MOST_TOKENS));
  const id = `smp_${hash("sha256", canonicalJson({ server, system, messages, maxTokens }), "hex").slice(0, 12)}`;
  return { server, id, system, messages, maxTokens };
}

function textOf({ system, messages }: SamplingRequest): string {
  return [...(system === "" ? [] : [`system: ${system}`]), ...messages.map(({ role, text }) => `${role}: ${text}`)].join("\n");
}
