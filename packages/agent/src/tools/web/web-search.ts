import { type ToolContext, type ToolResult } from "@guildhall/core";
import { Risk } from "@guildhall/protocol";
import { z } from "zod";

import { defineTool } from "../define-tool.ts";
import { webAddress } from "./address.ts";
import { ACCEPT_ENCODING, readBody } from "./body.ts";
import { exchange } from "./exchange.ts";
import { USER_AGENT } from "./fetch.ts";
import { decodeText, mediaType } from "./media-type.ts";
import { withinTime } from "./time-limit.ts";
import { recordText } from "./untrusted.ts";

const schema = z.strictObject({
  query: z.string().min(1).max(1_000),
  limit: z.int().min(1).max(50).optional().describe("Default 10"),
});

interface WebResult {
  title: string;
  url: string;
  snippet: string;
}

/** `address`: URL of a search service that answers in JSON, `{query}` standing for the query; empty: none is set up. Asked at every call. */
export function createWebSearchTool(address: () => string) {
  return defineTool({
    name: "web_search",
    description: "Search the web.",
    lazy: true,
    schema,
    risk: () => Risk.LOW,
    resources: () => [],
    repeatable: () => true,
    execute: (input, context) => withinTime(context.signal, 30, (signal) => run(address(), input, context, signal)),
  });
}

async function run(
  address: string,
  { query, limit = 10 }: z.output<typeof schema>,
  { session }: ToolContext,
  signal: AbortSignal,
): Promise<ToolResult> {
  if (address === "") {
    return {
      status: "error",
      output:
        'No search service is set up — a person can name one in settings.toml: [search] url = "https://…/search?q={query}&format=json"',
    };
  }
  const url = webAddress(address.replaceAll("{query}", encodeURIComponent(query)));
  const answer = await exchange(
    session.sandbox,
    { url, method: "GET", headers: { accept: "application/json", "accept-encoding": ACCEPT_ENCODING, "user-agent": USER_AGENT } },
    signal,
  );
  const { bytes, cut } = await readBody(answer, signal);
  if (answer.status !== 200) return { status: "error", output: `${url.host} answered ${answer.status} ${answer.statusText}.` };
  const results = cut ? undefined : readResults(decodeText(bytes, mediaType(answer.headers["content-type"], bytes)));
  if (results === undefined) {
    return {
      status: "error",
      output: `${url.host} did not answer with search results in JSON; does its address ask for that (format=json)?`,
    };
  }
  const shown = results.slice(0, limit);
  const lines = shown.map(
    ({ title, url: link, snippet }, index) => `${index + 1}. ${title}\n   ${link}${snippet === "" ? "" : `\n   ${snippet}`}`,
  );
  const { text } = await recordText(lines.join("\n"), session);
  return {
    status: "ok",
    output: text === "" ? "Nothing was found." : text,
    data: { results: shown },
    untrusted: `search results of ${url.host}`,
  };
}

/** Results as SearXNG and most others give them: the first list of things with an address; undefined: there is none. */
function readResults(text: string): WebResult[] | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const list = listIn(value, 0);
  return list?.flatMap((entry) => {
    const link = word(entry, ["url", "link", "href"], 2_000);
    if (link === "" || !/^https?:/.test(link)) return [];
    return [
      {
        title: word(entry, ["title", "name"], 300) || link,
        url: link,
        snippet: word(entry, ["content", "snippet", "description", "text"], 500),
      },
    ];
  });
}

const LISTS = ["results", "web", "items", "organic", "organic_results", "data", "value", "webPages"];

function listIn(value: unknown, depth: number): unknown[] | undefined {
  if (Array.isArray(value)) return value as unknown[];
  if (typeof value !== "object" || value === null || depth > 2) return undefined;
  for (const name of LISTS) {
    const found = Object.hasOwn(value, name) ? listIn((value as Record<string, unknown>)[name], depth + 1) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

function word(entry: unknown, names: readonly string[], most: number): string {
  if (typeof entry !== "object" || entry === null) return "";
  const found = names.map((name) => (entry as Record<string, unknown>)[name]).find((one) => typeof one === "string");
  return typeof found === "string"
    ? found
        .replaceAll(/<[^>]{0,200}>/g, "")
        .replaceAll(/\s+/g, " ")
        .trim()
        .slice(0, most)
    : "";
}
