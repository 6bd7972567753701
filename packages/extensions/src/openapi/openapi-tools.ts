import { GuildError, type Sandbox, type Tool, type ToolContext, type ToolResult } from "@guildhall/core";
import { Risk } from "@guildhall/protocol";
import { parse as parseYaml } from "yaml";

import { readForeignSchema } from "../foreign/foreign-schema.ts";
import { bounded } from "../foreign/line.ts";
import { ToolNames } from "../foreign/tool-name.ts";
import { showText } from "../mcp/tool-result.ts";
import { expandVariables } from "../network/sandbox-variables.ts";
import { createSessionFetch, type SessionFetch } from "../network/session-fetch.ts";

/** Operations of one document that become tools. */
const MOST_OPERATIONS = 1_000;
/** Characters of an answer that are read. */
const MOST_ANSWER = 4 * 1024 * 1024;
const METHODS = ["get", "put", "post", "delete", "patch", "head", "options"] as const;

type Json = Record<string, unknown>;

/**
 * Every operation of an OpenAPI document (3.x, JSON or YAML) as a lazy tool `<name>__<operationId>`, called through the session's way out. What it
 * reads is medium, what it changes is of high risk. A key goes into a header by `x-guildhall-headers` at the top of the document, where
 * `${NAME}` stands for a granted secret. Throws `invalid_argument` for what is no such document.
 */
export function openApiTools(name: string, text: string): Tool[] {
  const document = read(name, text);
  const server = (document["servers"] as Array<{ url?: unknown }> | undefined)?.[0]?.url;
  if (typeof server !== "string" || !URL.canParse(server)) {
    throw new GuildError("invalid_argument", `${name}: servers[0].url is no absolute address`, {
      subject: name,
      remedy: "say where the service is",
    });
  }
  const headers = isRecord(document["x-guildhall-headers"]) ? document["x-guildhall-headers"] : {};
  const names = new ToolNames(name);
  const tools: Tool[] = [];
  for (const [path, item] of Object.entries(isRecord(document["paths"]) ? document["paths"] : {})) {
    if (!isRecord(item)) continue;
    for (const method of METHODS) {
      const operation = item[method];
      if (!isRecord(operation) || tools.length >= MOST_OPERATIONS) continue;
      const made = toTool({ name, server, headers, path, method, operation, item, document, names });
      if (made !== undefined) tools.push(made);
    }
  }
  return tools;
}

interface Operation {
  name: string;
  server: string;
  headers: Json;
  path: string;
  method: (typeof METHODS)[number];
  operation: Json;
  item: Json;
  document: Json;
  names: ToolNames;
}

interface Parameter {
  name: string;
  in: string;
  required: boolean;
  schema: unknown;
  description: string;
}

function toTool(of: Operation): Tool | undefined {
  const { operation, method, path, document, names } = of;
  const parameters = [...list(of.item["parameters"]), ...list(operation["parameters"])].flatMap((one) =>
    parameterOf(resolve(document, one), document),
  );
  const body = bodyOf(document, operation);
  const properties: Json = Object.fromEntries(
    parameters.map((one) => [one.name, { ...(one.schema as Json), description: one.description }]),
  );
  if (body !== undefined) properties["body"] = body.schema;
  const required = [...parameters.filter((one) => one.required).map((one) => one.name), ...(body?.required === true ? ["body"] : [])];
  const { components } = document;
  const shape = { type: "object", properties, required, additionalProperties: false, ...(isRecord(components) ? { components } : {}) };
  const schema = readForeignSchema(inlined(shape));
  if (schema.schema === undefined) return undefined;
  const id = typeof operation["operationId"] === "string" ? operation["operationId"] : `${method}_${path}`;
  const what = [operation["summary"], operation["description"]].filter((one) => typeof one === "string").join(" – ");
  const reads = method === "get" || method === "head" || method === "options";
  return {
    name: names.of(id),
    description: bounded(`${method.toUpperCase()} ${path} ${what}`.trim(), 600),
    schema: schema.schema,
    source: `openapi:${of.name}`,
    lazy: true,
    risk: () => (reads ? Risk.MEDIUM : Risk.HIGH),
    resources: () => [{ name: `openapi:${of.name}`, access: reads ? "read" : "write" }],
    repeatable: () => false,
    execute: (input, context) => call(of, parameters, body?.type, input as Json, context),
  };
}

async function call(
  of: Operation,
  parameters: Parameter[],
  bodyType: string | undefined,
  input: Json,
  context: ToolContext,
): Promise<ToolResult> {
  const { sandbox } = context.session;
  try {
    const { url, headers, body } = await requestOf(of, parameters, bodyType, input, sandbox);
    const reach: SessionFetch = context.session.get("fetch:openapi", () => new KeptFetch(sandbox)).reach;
    const signal = AbortSignal.any([context.signal, AbortSignal.timeout(60_000)]);
    const response = await reach(url, { method: of.method.toUpperCase(), headers, signal, ...(body === undefined ? {} : { body }) });
    const text = (await response.text()).slice(0, MOST_ANSWER);
    const { output, fullOutput } = await showText(text, context.session.blobs);
    return {
      status: response.ok ? "ok" : "error",
      output: `${response.status} ${response.headers.get("content-type") ?? ""}\n${output}`.trim(),
      data: { status: response.status },
      ...(fullOutput === undefined ? {} : { fullOutput }),
    };
  } catch (error) {
    context.signal.throwIfAborted();
    const cause = error instanceof Error && GuildError.is(error.cause) ? error.cause : error;
    return { status: "error", output: GuildError.is(cause) ? cause.line : `${of.server} cannot be reached: ${String(cause)}` };
  }
}

/** One a session: it finds the way out once. */
class KeptFetch {
  readonly reach: SessionFetch;

  constructor(sandbox: Sandbox) {
    this.reach = createSessionFetch(sandbox);
  }

  async close(): Promise<void> {
    // Nothing stays open between requests.
  }
}

async function requestOf(of: Operation, parameters: Parameter[], bodyType: string | undefined, input: Json, sandbox: Sandbox) {
  let path = of.path;
  const query = new URLSearchParams();
  const headers: Record<string, string> = { accept: "application/json, text/*;q=0.8, */*;q=0.5" };
  for (const [name, value] of Object.entries(of.headers))
    headers[name] = typeof value === "string" ? await expandVariables(sandbox, value) : "";
  for (const parameter of parameters) {
    const value = input[parameter.name];
    if (value === undefined) continue;
    const each = (Array.isArray(value) ? value : [value]).map((one) => (typeof one === "string" ? one : JSON.stringify(one)));
    if (parameter.in === "path") {
      const segment = each.map(encodeURIComponent).join(",");
      if (/^\.{1,2}$/.test(segment)) throw new GuildError("invalid_argument", `${parameter.name} would lead to another path: ${segment}`);
      path = path.replaceAll(`{${parameter.name}}`, segment);
    }
    if (parameter.in === "query") for (const one of each) query.append(parameter.name, one);
    if (parameter.in === "header") headers[parameter.name] = each.join(",").replaceAll(/[\r\n]/g, " ");
  }
  const url = new URL(`${of.server.replace(/\/$/, "")}${path}`);
  for (const [name, value] of query) url.searchParams.append(name, value);
  const given = input["body"];
  if (given === undefined || bodyType === undefined) return { url, headers };
  headers["content-type"] = bodyType;
  if (bodyType === "application/x-www-form-urlencoded" && isRecord(given)) {
    const form = new URLSearchParams();
    for (const [key, value] of Object.entries(given)) form.append(key, typeof value === "string" ? value : JSON.stringify(value));
    return { url, headers, body: form.toString() };
  }
  return { url, headers, body: typeof given === "string" && !bodyType.includes("json") ? given : JSON.stringify(given) };
}

function bodyOf(document: Json, operation: Json): { schema: unknown; type: string; required: boolean } | undefined {
  const body = resolve(document, operation["requestBody"]);
  const content = isRecord(body) && isRecord(body["content"]) ? body["content"] : {};
  const type = ["application/json", ...Object.keys(content)].find((one) => content[one] !== undefined);
  if (type === undefined || !isRecord(body)) return undefined;
  const media = content[type];
  return { schema: (isRecord(media) ? media["schema"] : undefined) ?? {}, type, required: body["required"] === true };
}

function parameterOf(one: unknown, document: Json): Parameter[] {
  if (!isRecord(one) || typeof one["name"] !== "string" || typeof one["in"] !== "string" || one["in"] === "cookie") return [];
  const schema = resolve(document, one["schema"]);
  return [
    {
      name: one["name"],
      in: one["in"],
      required: one["required"] === true || one["in"] === "path",
      schema: isRecord(schema) ? schema : {},
      description: typeof one["description"] === "string" ? bounded(one["description"], 300) : one["in"],
    },
  ];
}

/** References written out five deep: models see what an argument is made of, and no document makes a schema without end. */
function inlined(shape: Json): Json {
  const { components, ...rest } = shape;
  const whole: Json = { components };
  const expand = (value: unknown, depth: number): unknown => {
    if (Array.isArray(value)) return value.map((one) => expand(one, depth));
    if (!isRecord(value)) return value;
    if (typeof value["$ref"] === "string") return depth >= 5 ? {} : expand(resolve(whole, value), depth + 1);
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, expand(one, depth)]));
  };
  return expand(rest, 0) as Json;
}

function resolve(document: Json, value: unknown): unknown {
  let here = value;
  for (let hops = 0; hops < 10 && isRecord(here) && typeof here["$ref"] === "string"; hops += 1) {
    let found: unknown = document;
    for (const part of here["$ref"].replace(/^#\//, "").split("/")) {
      const key = part.replaceAll("~1", "/").replaceAll("~0", "~");
      found = isRecord(found) && Object.hasOwn(found, key) ? found[key] : undefined;
    }
    here = found;
  }
  return here;
}

function read(name: string, text: string): Json {
  let document: unknown;
  try {
    document = text.trimStart().startsWith("{") ? JSON.parse(text) : parseYaml(text, { maxAliasCount: 100 });
  } catch (error) {
    throw new GuildError(
      "invalid_argument",
      `${name} cannot be read: ${error instanceof Error ? (error.message.split("\n")[0] ?? "") : ""}`,
      { subject: name },
    );
  }
  if (!isRecord(document) || typeof document["openapi"] !== "string" || !document["openapi"].startsWith("3.")) {
    throw new GuildError("invalid_argument", `${name} is no OpenAPI 3 document`, { subject: name });
  }
  return document;
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function isRecord(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
