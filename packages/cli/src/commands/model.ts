import { randomUUID } from "node:crypto";

import { GuildError } from "@guildhall/core";
import { Control, type ModelReplied, type ModelVendor, PromptRole } from "@guildhall/protocol";

import type { Context } from "../client/context.ts";
import { exitCode } from "../exit.ts";
import { count, createStyle, money } from "../output/style.ts";
import { credentialsOf, modelOf } from "./arguments.ts";
import { withConnection } from "./session.ts";

interface JsonOption {
  json?: boolean;
}

/** `guild model list`: providers, their keys, and the servers on this machine that answer. */
export function list(context: Context, options: JsonOption): Promise<number> {
  return withConnection(context, async (connection) => {
    const { vendors, routes, modules } = await connection.models.listProviders({});
    const credentials = credentialsOf(context);
    const style = createStyle(context.color);
    for (const vendor of vendors) {
      const state = stateOf(vendor, credentials);
      if (options.json === true) {
        const { name, title, baseUrl, keys, local, answers, models } = vendor;
        context.stdout.write(
          `${JSON.stringify({ id: name, type: "provider", title, base_url: baseUrl, keys, local, state, answers, models })}\n`,
        );
      } else {
        const paint = state === "ready" ? style.good : style.dim;
        context.stdout.write(`${vendor.name.padEnd(18)} ${paint(state.padEnd(22))} ${vendor.models.slice(0, 5).join(", ")}\n`);
      }
    }
    for (const [name, spec] of Object.entries(routes)) line(context, options, `role:${name}`, "role", spec);
    for (const [name, path] of Object.entries(modules)) line(context, options, `${name}/…`, "module", path);
    return exitCode.done;
  });
}

/** `guild model presets`: how to start each kind of server on one's own machine, and what to call its models. */
export function presets(context: Context, options: JsonOption): Promise<number> {
  return withConnection(context, async (connection) => {
    const { vendors } = await connection.models.listProviders({});
    for (const { name, title, baseUrl, start, answers } of vendors.filter((vendor) => vendor.local)) {
      if (options.json === true) {
        context.stdout.write(`${JSON.stringify({ id: name, type: "preset", title, base_url: baseUrl, start, answers })}\n`);
        continue;
      }
      const style = createStyle(context.color);
      context.stdout.write(`${style.bold(title)}${answers ? style.good("  answers") : ""}\n`);
      for (const command of start) context.stdout.write(`  $ ${command}\n`);
      context.stdout.write(`  guild run "…" --model ${name}/<model>${style.dim(`   (${baseUrl})`)}\n`);
    }
    return exitCode.done;
  });
}

/** `guild model test`: one question that only a call of a function answers. Exit code 1 when the model does not call it. */
export function test(context: Context, spec: string, options: JsonOption & { baseUrl?: string }): Promise<number> {
  return withConnection(context, async (connection) => {
    const model = modelOf(context, spec);
    const began = performance.now();
    let first = 0;
    let reply: ModelReplied | undefined;
    const request = {
      sessionId: `test-${randomUUID()}`,
      model,
      baseUrl: options.baseUrl ?? "",
      messages: [
        { role: PromptRole.SYSTEM, text: "You answer questions with the tools you have." },
        { role: PromptRole.USER, text: "Call the tool `add` with the numbers 17 and 25." },
      ],
      tools: [{ name: "add", description: "Adds two whole numbers.", schema: ADD_SCHEMA }],
    };
    await connection.models.lendCredentials({ sessionId: request.sessionId, credentials: credentialsOf(context) });
    try {
      for await (const { kind } of connection.models.generate(request)) {
        first ||= performance.now() - began;
        if (kind.case === "waiting" && options.json !== true) context.stderr.write(`guild: ${kind.value}\n`);
        if (kind.case === "reply") reply = kind.value;
      }
    } finally {
      await connection.models.lendCredentials({ sessionId: request.sessionId, credentials: {} });
    }
    if (reply === undefined) throw new GuildError("internal", "the daemon answered without a reply", { subject: model });
    const calls = reply.toolCalls.some((call) => call.tool === "add" && sums(call.arguments));
    const usage = reply.usage;
    const facts = {
      calls_functions: calls,
      answered_by: reply.model,
      first_ms: Math.round(first),
      total_ms: Math.round(performance.now() - began),
      input_tokens: usage?.inputTokens ?? 0,
      output_tokens: usage?.outputTokens ?? 0,
      ...(usage?.costKnown === true ? { cost_usd: usage.costUsd } : {}),
    };
    if (options.json === true) context.stdout.write(`${JSON.stringify({ id: spec, type: "model_test", ...facts })}\n`);
    else {
      const style = createStyle(context.color);
      const verdict = calls
        ? style.good("calls functions")
        : style.bad(`does not call functions; it said: ${JSON.stringify(reply.text.slice(0, 200))}`);
      context.stdout.write(`${facts.answered_by}: ${verdict}\n`);
      const cost = usage?.costKnown === true ? money(usage.costUsd) : "cost not known";
      context.stdout.write(`${count(facts.input_tokens)} tokens in, ${count(facts.output_tokens)} out, ${facts.total_ms} ms, ${cost}\n`);
      if (!calls) context.stdout.write(`${advice(spec)}\n`);
    }
    return calls ? exitCode.done : exitCode.failed;
  });
}

/** What to do about a model that did not call the function. */
function advice(spec: string): string {
  const asked = /^(text|json|llama):/.exec(spec)?.[1];
  if (asked === undefined) return `try it with text instead: guild model test text:${spec}`;
  if (asked === "json") return "it was asked for JSON already: try a model that is larger, or better at following instructions";
  return `it was asked with text already; try it with JSON: guild model test json:${asked === "text" ? spec.slice("text:".length) : spec}`;
}

/** `guild session model`: another model from the session's next step on. */
export function change(context: Context, id: string, spec: string, options: JsonOption & { baseUrl?: string }): Promise<number> {
  return withConnection(context, async (connection) => {
    const { seq } = await connection.sessions.sendInput({
      sessionId: id,
      input: {
        case: "model",
        value: { model: modelOf(context, spec), baseUrl: options.baseUrl ?? "", reason: "changed with guild session model" },
      },
      credentials: credentialsOf(context),
    });
    if (options.json === true)
      context.stdout.write(`${JSON.stringify({ id: `${id}/${seq}`, type: "input", session: id, seq, model: spec })}\n`);
    else context.stdout.write(`${spec} from the next step on (event ${seq})\n`);
    return exitCode.done;
  });
}

/** `guild session condense`: old history is replaced by a summary before the session's next step. */
export function condense(context: Context, id: string, options: JsonOption): Promise<number> {
  return withConnection(context, async (connection) => {
    const input = { case: "control" as const, value: { control: Control.CONDENSE } };
    const { seq } = await connection.sessions.sendInput({ sessionId: id, input });
    if (options.json === true) context.stdout.write(`${JSON.stringify({ id: `${id}/${seq}`, type: "input", session: id, seq })}\n`);
    else context.stdout.write(`the history is condensed before the next step (event ${seq})\n`);
    return exitCode.done;
  });
}

const ADD_SCHEMA = JSON.stringify({
  type: "object",
  properties: { a: { type: "integer" }, b: { type: "integer" } },
  required: ["a", "b"],
  additionalProperties: false,
});

function sums(text: string): boolean {
  try {
    const { a, b } = JSON.parse(text) as { a?: unknown; b?: unknown };
    return Number(a) + Number(b) === 42;
  } catch {
    return false;
  }
}

function stateOf(vendor: ModelVendor, credentials: Record<string, string>): string {
  if (vendor.local) return vendor.answers ? "ready" : "no server answers";
  if (vendor.keySet || vendor.keys.some((key) => (credentials[key] ?? "") !== ""))
    return vendor.baseUrl === "" ? "key, needs --base-url" : "ready";
  return vendor.name === "openai-compatible" ? "needs --base-url" : `set ${vendor.keys[0] ?? ""}`;
}

function line(context: Context, options: JsonOption, id: string, type: string, value: string): void {
  context.stdout.write(options.json === true ? `${JSON.stringify({ id, type, value })}\n` : `${id.padEnd(18)} ${value}\n`);
}
