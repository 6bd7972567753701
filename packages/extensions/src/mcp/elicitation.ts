import { canonicalJson } from "@guildhall/core";
import type { ElicitRequestFormParams, ElicitResult } from "@modelcontextprotocol/client";

import { bounded, oneLine } from "../foreign/line.ts";

/** What a server asks the person in the middle of a call. */
export interface ElicitationRequest {
  server: string;
  message: string;
  schema: ElicitRequestFormParams["requestedSchema"];
}

/** An answer with the defaults of fields that it leaves out, as the protocol has it (SEP-1034). */
export function applyDefaults(answer: ElicitResult, request: ElicitationRequest): ElicitResult {
  const content = { ...answer.content };
  for (const [name, field] of Object.entries(request.schema.properties)) {
    const given = (field as { default?: unknown }).default;
    if (content[name] === undefined && given !== undefined) content[name] = given as string;
  }
  return { ...answer, content };
}

/** The question and its fields, for the model to put to the person. */
export function describeElicitation(request: ElicitationRequest): string {
  const required = new Set(request.schema.required);
  const fields = Object.entries(request.schema.properties)
    .slice(0, 20)
    .map(([name, field]) => {
      const { type, description = "", enum: choices } = field as { type?: string; description?: string; enum?: unknown[] };
      const kind = choices === undefined ? (type ?? "any") : choices.slice(0, 20).map(String).join(" | ");
      return `- ${oneLine(name, 60)} (${oneLine(kind, 200)}${required.has(name) ? "" : ", optional"}) ${oneLine(description, 200)}`.trimEnd();
    });
  return [`${request.server} asks the person: ${bounded(request.message, 2_000)}`, ...fields].join("\n");
}

/**
 * Answers of the person to what servers asked. A question that nobody has answered yet is cancelled and remembered; the agent puts it to the
 * person, hands the answer in, and calls the tool again. Each answer serves once, and for exactly the question that it was given to.
 */
export class ElicitationDesk {
  readonly #asked = new Map<string, ElicitationRequest>();
  readonly #told = new WeakSet<ElicitationRequest>();
  readonly #answers = new Map<string, { question: string; answer: ElicitResult }>();

  /** For the connection. */
  readonly elicit = async (request: ElicitationRequest): Promise<ElicitResult> => {
    const given = this.#answers.get(request.server);
    this.#answers.delete(request.server);
    if (given?.question === questionOf(request)) return given.answer;
    this.#asked.set(request.server, request);
    return { action: "cancel" };
  };

  /** What the server has asked, nobody has answered and was not told of before. */
  news(server: string): ElicitationRequest | undefined {
    const request = this.#asked.get(server);
    if (request === undefined || this.#told.has(request)) return undefined;
    this.#told.add(request);
    return request;
  }

  /** To the question that stands last. False: the server has asked nothing. */
  answer(server: string, answer: ElicitResult): boolean {
    const request = this.#asked.get(server);
    if (request === undefined) return false;
    this.#asked.delete(server);
    this.#answers.set(server, { question: questionOf(request), answer });
    return true;
  }
}

/** Everything that a person has seen of a question. */
function questionOf({ message, schema }: ElicitationRequest): string {
  return canonicalJson({ message, schema });
}
