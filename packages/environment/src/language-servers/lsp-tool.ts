import { fileURLToPath } from "node:url";

import { GuildError, type Sandbox, type Tool, type ToolResult } from "@guildhall/core";
import { Risk } from "@guildhall/protocol";
import { z } from "zod";

import { Data } from "../project/read-data.ts";
import type { Diagnostic, LanguageServer } from "./language-server.ts";
import { lacking, type ServerSource } from "./language-servers.ts";
import { uriOf } from "./open-documents.ts";
import { applyEdits, editsOf, type TextEdit, textEditOf } from "./text-edits.ts";

const OPERATIONS = [
  "diagnostics",
  "definition",
  "references",
  "hover",
  "symbols",
  "workspace_symbols",
  "callers",
  "callees",
  "rename",
  "code_actions",
  "format",
  "completion",
  "signature",
] as const;

const schema = z.strictObject({
  operation: z.enum(OPERATIONS),
  path: z.string().min(1).describe("File, relative to the workspace"),
  line: z.int().min(1).optional().describe("Line of the place, from 1"),
  symbol: z.string().optional().describe("Name that stands on that line; the place is its first occurrence there"),
  column: z.int().min(1).optional().describe("Column, from 1, instead of symbol"),
  new_name: z.string().min(1).optional().describe("rename: the new name"),
  query: z.string().optional().describe("workspace_symbols: part of a name; code_actions: part of the title of the one to apply"),
});
type Input = z.output<typeof schema>;

/** What the server must say that it can, for each operation. */
const CAPABILITY: Readonly<Record<(typeof OPERATIONS)[number], string | undefined>> = {
  diagnostics: undefined,
  definition: "definitionProvider",
  references: "referencesProvider",
  hover: "hoverProvider",
  symbols: "documentSymbolProvider",
  workspace_symbols: "workspaceSymbolProvider",
  callers: "callHierarchyProvider",
  callees: "callHierarchyProvider",
  rename: "renameProvider",
  code_actions: "codeActionProvider",
  format: "documentFormattingProvider",
  completion: "completionProvider",
  signature: "signatureHelpProvider",
};

const NO_PROBLEMS = "no problems";

/** How long a server may take to look at a file that it is first asked about, milliseconds. */
const LOOK_MS = 10_000;
const REQUEST_MS = 30_000;
const MOST_LINES = 60;

/** Questions to the language servers of a session's sandbox. An answer that is empty was given by a server that is ready; one that is not says so. */
export function createLspTool(servers: ServerSource): Tool<typeof schema> {
  return {
    name: "lsp",
    description:
      "Ask the project's language server: diagnostics of a file, definition, references, hover, symbols, callers and callees of what stands at a line, completion, signature; or have it rename a symbol everywhere, apply a code action, format a file.",
    schema,
    source: "environment",
    lazy: true,
    risk: ({ operation }) => (writes(operation) ? Risk.MEDIUM : Risk.LOW),
    resources: ({ operation }) => [{ name: "workspace", access: writes(operation) ? "write" : "read" }],
    repeatable: ({ operation }) => !writes(operation),
    async execute(input, { session }) {
      try {
        const changed: string[] = [];
        const output = await answer({ servers, sandbox: session.sandbox, changed }, input);
        return { status: "ok", output, ...(changed.length === 0 ? {} : { data: { changed } }) };
      } catch (error) {
        const own = GuildError.from(error);
        if (own.code === "internal") throw own;
        return { status: "error", output: own.line } satisfies ToolResult;
      }
    },
  };
}

function writes(operation: Input["operation"]): boolean {
  return operation === "rename" || operation === "code_actions" || operation === "format";
}

async function answer(given: Omit<World, "server">, input: Input): Promise<string> {
  const { servers, sandbox } = given;
  const { operation } = input;
  const path = input.path.startsWith("/") ? input.path : `${sandbox.workspace}/${input.path}`;
  const text = Buffer.from(await sandbox.files.read(path)).toString("utf8");
  const served = await servers.of(path);
  const capability = CAPABILITY[operation];
  if (capability !== undefined && !served.server.can(capability)) {
    throw new GuildError("unsupported", `the ${served.name} language server cannot answer ${operation}`);
  }
  const lack = lacking(served, operation);
  if (lack !== undefined && operation !== "diagnostics") throw lack;
  return await served.server.exclusive(path, async () => {
    await served.server.sync(path, text, served.languageId, served.holder);
    // What is asked before it has looked has answers that look like “none”.
    if (operation !== "diagnostics" && !(await served.server.hasLooked(path, LOOK_MS))) {
      throw new GuildError("unavailable", `the ${served.name} language server has not looked at this file yet`, { remedy: "ask again" });
    }
    const answered = await ready({ ...given, server: served.server }, input, path, text);
    if (lack === undefined) return answered;
    // What it finds by itself is not all that there is.
    if (answered === NO_PROBLEMS) throw lack;
    return `${answered}\n[more is not known: ${lack.line}]`;
  });
}

/** The answer of a server that knows the file's present text. */
async function ready(world: World, input: Input, path: string, text: string): Promise<string> {
  const { server } = world;
  const { operation } = input;
  const ask = async (method: string, params: Record<string, unknown>) => new Data(await server.request(method, params, REQUEST_MS));
  const document = { textDocument: { uri: uriOf(path) } };
  const place = () => ({ ...document, position: positionOf(text, input) });
  switch (operation) {
    case "diagnostics":
      return listed(diagnosticLines(input.path, await server.diagnostics(path, REQUEST_MS)), NO_PROBLEMS);
    case "definition":
      return await locations(world, await ask("textDocument/definition", place()), "no definition is known");
    case "references":
      return await locations(
        world,
        await ask("textDocument/references", { ...place(), context: { includeDeclaration: true } }),
        "no references",
      );
    case "hover":
      return hoverText((await ask("textDocument/hover", place())).at("contents")) || "nothing is known about this place";
    case "symbols":
      return listed(symbolLines(await ask("textDocument/documentSymbol", document)), "no symbols");
    case "workspace_symbols":
      return await locations(world, await ask("workspace/symbol", { query: input.query ?? "" }), "no such symbol");
    case "callers":
    case "callees":
      return await calls(world, ask, place(), operation);
    case "rename":
      if (input.new_name === undefined) throw new GuildError("invalid_argument", "rename needs new_name");
      return await rename(world, path, () => ask("textDocument/rename", { ...place(), newName: input.new_name }));
    case "code_actions":
      return await codeActions(world, ask, { ...document, text, path }, input);
    case "format": {
      const edits = (await ask("textDocument/formatting", { ...document, options: { tabSize: 2, insertSpaces: true } })).items.map(
        textEditOf,
      );
      return await write(world, new Map([[path, edits]]));
    }
    case "completion": {
      const found = await ask("textDocument/completion", place());
      const items = found.at("items").present ? found.at("items").items : found.items;
      return listed(completions(items, text, positionOf(text, input)), "no completions");
    }
    case "signature": {
      const found = await ask("textDocument/signatureHelp", place());
      return listed(
        found.at("signatures").items.map((one) => one.at("label").text ?? ""),
        "no signature is known",
      );
    }
    default:
      operation satisfies never;
      return "";
  }
}

/** Those that begin with what stands before the place, as the server orders them. */
function completions(items: readonly Data[], text: string, { line, character }: { line: number; character: number }): string[] {
  const prefix = (/[\w$]*$/.exec((text.split("\n")[line] ?? "").slice(0, character))?.[0] ?? "").toLowerCase();
  const order = (item: Data): string => item.at("sortText").text ?? item.at("label").text ?? "";
  return items
    .filter((item) => (item.at("filterText").text ?? item.at("label").text ?? "").toLowerCase().startsWith(prefix))
    .toSorted((a, b) => (order(a) < order(b) ? -1 : 1))
    .map((item) => [item.at("label").text, item.at("detail").text].filter(Boolean).join("  "));
}

interface World {
  servers: ServerSource;
  sandbox: Sandbox;
  server: LanguageServer;
  /** Relative paths that were written. */
  changed: string[];
}
type Ask = (method: string, params: Record<string, unknown>) => Promise<Data>;

function positionOf(text: string, { line, symbol, column }: Input): { line: number; character: number } {
  if (line === undefined) throw new GuildError("invalid_argument", "this needs a line, and a symbol or column on it");
  const lines = text.split("\n");
  const content = lines[line - 1];
  if (content === undefined) throw new GuildError("invalid_argument", `the file has ${lines.length} lines`);
  if (symbol !== undefined) {
    const at = content.indexOf(symbol);
    if (at === -1)
      throw new GuildError("invalid_argument", `line ${line} does not hold ${JSON.stringify(symbol)}: ${content.trim().slice(0, 120)}`);
    return { line: line - 1, character: at };
  }
  return { line: line - 1, character: Math.min((column ?? 1) - 1, content.length) };
}

/** Problems as compilers write them. */
export function diagnosticLines(path: string, all: readonly Diagnostic[]): string[] {
  return all.map(
    ({ line, column, severity, message, code }) =>
      `${path}:${line}:${column}: ${severity}${code === "" || code === "0" ? "" : ` ${code}`}: ${message.replaceAll(/\s+/g, " ")}`,
  );
}

async function locations({ sandbox }: World, found: Data, none: string): Promise<string> {
  const all = found.items.length > 0 ? found.items : found.at("uri").present ? [found] : [];
  const lines: string[] = [];
  const texts = new Map<string, string[]>();
  for (const one of all.slice(0, MOST_LINES)) {
    const uri = one.at("uri").text ?? one.at("targetUri").text ?? one.at("location", "uri").text ?? "";
    const range = [one.at("range"), one.at("targetSelectionRange"), one.at("location", "range")].find(({ present }) => present);
    const line = Number(range?.at("start", "line").value ?? 0);
    const path = fileURLToPath(uri);
    const known =
      texts.get(path) ??
      (await sandbox.files.read(path).then(
        (bytes) => Buffer.from(bytes).toString("utf8").split("\n"),
        () => [],
      )); // a place outside
    texts.set(path, known);
    const name = one.at("name").text;
    const content = name ?? known[line]?.trim().slice(0, 160) ?? "";
    lines.push(`${shown(path, sandbox)}:${line + 1}:${Number(range?.at("start", "character").value ?? 0) + 1}: ${content}`);
  }
  return listed(lines, none, all.length);
}

async function calls({ sandbox }: World, ask: Ask, place: Record<string, unknown>, operation: "callers" | "callees"): Promise<string> {
  const [item] = (await ask("textDocument/prepareCallHierarchy", place)).items;
  if (item === undefined) return "nothing that is called stands at this place";
  const method = operation === "callers" ? "callHierarchy/incomingCalls" : "callHierarchy/outgoingCalls";
  const found = (await ask(method, { item: item.value })).items.map((one) => one.at(operation === "callers" ? "from" : "to"));
  const lines = found.map(
    (one) =>
      `${shown(fileURLToPath(one.at("uri").text ?? ""), sandbox)}:${Number(one.at("selectionRange", "start", "line").value ?? 0) + 1}: ${shown(one.at("name").text ?? "", sandbox)}`,
  );
  return listed(lines, operation === "callers" ? "nothing calls it" : "it calls nothing");
}

async function codeActions(
  world: World,
  ask: Ask,
  of: { textDocument: unknown; text: string; path: string },
  input: Input,
): Promise<string> {
  const position = positionOf(of.text, input);
  const end = { line: position.line, character: (of.text.split("\n")[position.line] ?? "").length };
  const diagnostics = (await world.server.diagnostics(of.path, REQUEST_MS)).filter(({ line }) => line === position.line + 1);
  const context = { diagnostics: diagnostics.map(({ given }) => given) };
  const range = { start: { line: position.line, character: 0 }, end };
  const actions = (await ask("textDocument/codeAction", { textDocument: of.textDocument, range, context })).items;
  const wanted = input.query?.toLowerCase();
  if (wanted === undefined)
    return listed(
      actions.map((one) => one.at("title").text ?? ""),
      "no code action here",
    );
  const action = actions.find((one) => one.at("title").text?.toLowerCase().includes(wanted));
  if (action === undefined)
    throw new GuildError(
      "not_found",
      `no code action here is called ${JSON.stringify(input.query)}: ${actions.map((one) => one.at("title").text).join("; ")}`,
    );
  const full = action.at("edit").present ? action : await ask("codeAction/resolve", action.value as Record<string, unknown>);
  return await apply(world, full.at("edit"));
}

/** Asks twice: of files that are not open nobody knows in which state the server has read them, unless they were the same before and after. */
async function rename(world: World, path: string, ask: () => Promise<Data>): Promise<string> {
  const known = new Map<string, string>();
  for (const one of editsOf(await ask()).keys()) {
    const text = await world.sandbox.files.read(one).catch(() => undefined); // what is wrong with it is told below
    if (text !== undefined) known.set(one, Buffer.from(text).toString("utf8"));
  }
  await world.servers.of(path); // tells it of what was changed beside it
  return await write(world, editsOf(await ask()), known);
}

async function apply(world: World, edit: Data): Promise<string> {
  return await write(world, editsOf(edit));
}

/**
 * Writes edits to files of the workspace, all or, when one cannot be made, none. What somebody has changed while the server worked on it is left as it is.
 */
async function write(
  { sandbox, server, servers, changed }: World,
  edits: ReadonlyMap<string, readonly TextEdit[]>,
  known: ReadonlyMap<string, string> = new Map(),
): Promise<string> {
  const texts: Array<{ path: string; text: string; count: number }> = [];
  for (const [path, own] of [...edits].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    if (!path.startsWith(`${sandbox.workspace}/`))
      throw new GuildError("permission_denied", `the change reaches beyond the workspace: ${path}`);
    const before = Buffer.from(await sandbox.files.read(path)).toString("utf8");
    if ((server.textOf(path) ?? before) !== before || (known.get(path) ?? before) !== before) {
      throw new GuildError(
        "unavailable",
        `${shown(path, sandbox)} was changed while the language server worked on it; nothing was written`,
        {
          remedy: "look at it and ask again",
        },
      );
    }
    const text = applyEdits(before, own);
    if (text !== before) texts.push({ path, text, count: own.length });
  }
  for (const { path, text } of texts) {
    await sandbox.files.write(path, Buffer.from(text));
    changed.push(shown(path, sandbox));
    const { languageId, holder } = await servers.of(path);
    await server.sync(path, text, languageId, holder);
  }
  return listed(
    texts.map(({ path, count }) => `changed ${shown(path, sandbox)} (${count} edit${count === 1 ? "" : "s"})`),
    "nothing to change",
  );
}

function symbolLines(found: Data, depth = 0): string[] {
  return found.items.flatMap((one) => {
    const line =
      Number((one.at("selectionRange").present ? one.at("selectionRange") : one.at("location", "range")).at("start", "line").value ?? 0) +
      1;
    return [`${"  ".repeat(depth)}${line}: ${one.at("name").text ?? ""}`, ...symbolLines(one.at("children"), depth + 1)];
  });
}

function hoverText(contents: Data): string {
  const parts = contents.items.length > 0 ? contents.items : [contents];
  const text = parts
    .map((part) => part.text ?? part.at("value").text ?? "")
    .join("\n")
    .replaceAll(/!\[[^\]]*\]\(data:[^)]*\)/g, "") // a picture, in letters
    .replaceAll(/\n{3,}/g, "\n\n");
  return text.length > 3_000 ? `${text.slice(0, 3_000)}…` : text.trim();
}

function listed(lines: readonly string[], none: string, count = lines.length): string {
  if (lines.length === 0) return none;
  const shownLines = lines.slice(0, MOST_LINES);
  return count > shownLines.length ? [...shownLines, `… and ${count - shownLines.length} more`].join("\n") : shownLines.join("\n");
}

function shown(path: string, { workspace }: Sandbox): string {
  return path.startsWith(`${workspace}/`) ? path.slice(workspace.length + 1) : path;
}
