import { createHash } from "node:crypto";
import { readFileSync, realpathSync, statSync } from "node:fs";
import { isAbsolute, relative, resolve } from "node:path";

import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { GuildError, projectIdentity } from "@guildhall/core";
import { ConflictStrategy, type EvidenceSchema, FeedbackKind, type Knowledge, type KnowledgeSchema, type Scope } from "@guildhall/protocol";

import type { Connection } from "../client/connect.ts";
import type { Context } from "../client/context.ts";
import { exitCode } from "../exit.ts";
import { describeKnowledge, knowledgeJson, knowledgeLine, scopeKinds, states } from "../output/describe-knowledge.ts";
import { createStyle, oneLine } from "../output/style.ts";
import { workspaceOf } from "./arguments.ts";
import { readChunks, writeChunks } from "./history.ts";
import { withConnection } from "./session.ts";

interface JsonOption {
  json?: boolean;
}
export interface ScopeOptions extends JsonOption {
  scope?: string;
  workspace?: string;
  team?: string;
}
export interface AddOptions extends ScopeOptions {
  id?: string;
  title?: string;
  key?: string;
  tag: string[];
  evidence: string[];
  url: string[];
  confidence?: number;
  pin?: boolean;
  validFrom?: string;
  validTo?: string;
}

/** Bytes that are read of a fact, and of a file that one may rest on. */
const MOST_BYTES = 128_000;
const LARGEST_EVIDENCE = 64 * 2 ** 20;

/** `guild knowledge add`. `-` reads standard input. A new version of the item that `--id` names keeps what is not given anew. */
export async function add(context: Context, given: string, options: AddOptions): Promise<number> {
  const text = given === "-" ? await readFact(context.stdin) : given;
  return await withConnection(context, async ({ knowledge }) => {
    const before = options.id === undefined ? undefined : (await knowledge.getKnowledge({ id: options.id })).item;
    const evidence = [...options.evidence.map((file) => fileEvidence(context, options, file)), ...options.url.map(urlEvidence)];
    const item: MessageInitShape<typeof KnowledgeSchema> = {
      id: options.id ?? "",
      text,
      title: options.title ?? before?.title ?? "",
      key: options.key ?? before?.key ?? "",
      tags: options.tag.length > 0 ? options.tag : (before?.tags ?? []),
      scope: options.scope === undefined && before?.scope !== undefined ? before.scope : await scopeOf(context, options),
      evidence: evidence.length > 0 ? evidence : (before?.evidence ?? []),
      confidence: options.confidence ?? before?.confidence ?? 0.8,
      pinned: options.pin ?? before?.pinned ?? false,
      ...time("validFrom", options.validFrom),
      ...time("validTo", options.validTo),
    };
    const { items, merged } = await knowledge.addKnowledge({ items: [item], workspace: workspaceOf(context, options.workspace) });
    const [stored] = items;
    if (stored === undefined) throw new GuildError("internal", "the daemon stored nothing");
    tell(context, options, stored, merged[0] === undefined ? "stored" : "said already, as");
    return exitCode.done;
  });
}

/** A fact from standard input. Stops reading when it is longer than any fact may be. */
async function readFact(input: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of input) {
    chunks.push(chunk);
    size += chunk.length;
    if (size > MOST_BYTES) {
      throw new GuildError("invalid_argument", `a fact of more than ${MOST_BYTES / 1_000} kB`, {
        remedy: "a document belongs cut up: at most 32000 characters each",
      });
    }
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** `guild knowledge search`. Finding nothing is an answer, with exit code 0. */
export function search(
  context: Context,
  query: string,
  options: ScopeOptions & { limit: number; tag: string[]; asOf?: string; why?: boolean },
): Promise<number> {
  return withConnection(context, async ({ knowledge }) => {
    const scopes = options.scope === undefined ? [] : await scopesOf(context, options);
    const { found, degraded } = await knowledge.searchKnowledge({
      query,
      limit: options.limit,
      tags: options.tag,
      scopes,
      workspace: workspaceOf(context, options.workspace),
      ...time("asOf", options.asOf),
    });
    if (degraded !== "") context.stderr.write(`guild: not all took part: ${degraded}\n`);
    const style = createStyle(context.color);
    for (const { item, score, parts } of found) {
      if (item === undefined) continue;
      if (options.json === true) {
        context.stdout.write(
          `${JSON.stringify({ ...knowledgeJson(item), score, parts: parts.map(({ name, value, text }) => ({ name, value, text })) })}\n`,
        );
        continue;
      }
      context.stdout.write(`${knowledgeLine(item, style)}\n`);
      if (options.why === true)
        for (const part of parts) context.stdout.write(style.dim(`    ${part.name} ${part.value.toFixed(2)}  ${part.text}\n`));
    }
    if (found.length === 0 && options.json !== true) context.stdout.write("nothing is known of that\n");
    return exitCode.done;
  });
}

/** `guild knowledge show` and `as-of`. */
export function show(context: Context, id: string, options: JsonOption & { version?: number; asOf?: string }): Promise<number> {
  return withConnection(context, async ({ knowledge }) => {
    const { item } = await knowledge.getKnowledge({
      id,
      version: options.version ?? 0,
      workspace: context.cwd,
      ...time("asOf", options.asOf),
    });
    if (item === undefined) throw new GuildError("internal", "the daemon answered without an item");
    if (options.json === true) context.stdout.write(`${JSON.stringify(knowledgeJson(item))}\n`);
    else for (const text of describeKnowledge(item, createStyle(context.color))) context.stdout.write(`${text}\n`);
    return exitCode.done;
  });
}

/** `guild knowledge history`. */
export function history(context: Context, id: string, options: JsonOption): Promise<number> {
  return withConnection(context, async ({ knowledge }) => {
    const style = createStyle(context.color);
    for (const item of (await knowledge.getKnowledgeHistory({ id })).versions) {
      const from = item.recordedFrom === undefined ? "" : timestampDate(item.recordedFrom).toISOString();
      const text = `${style.bold(`version ${item.version}`)}  ${from}  ${item.author}  ${states[item.state] ?? ""}\n  ${oneLine(item.text, 300)}`;
      context.stdout.write(`${options.json === true ? JSON.stringify(knowledgeJson(item)) : text}\n`);
    }
    return exitCode.done;
  });
}

/** `guild knowledge diff`. */
export function diff(context: Context, id: string, options: JsonOption & { from?: number; to?: number }): Promise<number> {
  return withConnection(context, async ({ knowledge }) => {
    const { changes } = await knowledge.diffKnowledge({ id, fromVersion: options.from ?? 0, toVersion: options.to ?? 0 });
    const style = createStyle(context.color);
    for (const { field, before, after } of changes) {
      const text = `${style.bold(field)}\n${style.bad(`- ${oneLine(before, 2_000)}`)}\n${style.good(`+ ${oneLine(after, 2_000)}`)}`;
      context.stdout.write(`${options.json === true ? JSON.stringify({ id, type: "change", field, before, after }) : text}\n`);
    }
    return exitCode.done;
  });
}

/** `guild knowledge revert`. */
export function revert(context: Context, id: string, options: JsonOption & { to: number }): Promise<number> {
  return changed(
    context,
    options,
    "reverted",
    async ({ knowledge }) => (await knowledge.revertKnowledge({ id, version: options.to })).item,
  );
}

/** `guild knowledge restore`. */
export function restore(context: Context, id: string, options: JsonOption): Promise<number> {
  return changed(context, options, "restored", async ({ knowledge }) => (await knowledge.restoreKnowledge({ id })).item);
}

/** `guild knowledge forget`. */
export function forget(context: Context, id: string, options: JsonOption & { reason?: string }): Promise<number> {
  return withConnection(context, async ({ knowledge }) => {
    const { restorableUntil } = await knowledge.forgetKnowledge({ id, reason: options.reason ?? "" });
    const until = restorableUntil === undefined ? "" : timestampDate(restorableUntil).toISOString();
    const text =
      options.json === true
        ? JSON.stringify({ id, type: "forgotten", restorable_until: until })
        : `forgotten: ${id}; guild knowledge restore ${id} brings it back until ${until}`;
    context.stdout.write(`${text}\n`);
    return exitCode.done;
  });
}

/** `guild knowledge feedback`. */
export function feedback(context: Context, id: string, kind: string, options: ScopeOptions): Promise<number> {
  return withConnection(context, async ({ knowledge }) => {
    const value = feedbackKinds[kind];
    if (value === undefined)
      throw new GuildError("invalid_argument", `unknown feedback: ${kind}`, { remedy: Object.keys(feedbackKinds).join(", ") });
    await knowledge.giveFeedback({ ids: [id], kind: value, project: await projectOf(context, options) });
    context.stdout.write(options.json === true ? `${JSON.stringify({ id, type: "feedback", kind })}\n` : `${kind}: ${id}\n`);
    return exitCode.done;
  });
}

/** `guild knowledge why`. */
export function why(context: Context, id: string, options: JsonOption): Promise<number> {
  return withConnection(context, async ({ knowledge }) => {
    const { score, parts, fate } = await knowledge.explainKnowledge({ id, workspace: context.cwd });
    if (options.json === true) {
      const told = parts.map(({ name, value, text }) => ({ name, value, text }));
      context.stdout.write(`${JSON.stringify({ id, type: "worth", score, parts: told, fate })}\n`);
      return exitCode.done;
    }
    context.stdout.write(`worth ${score.toFixed(2)}: ${fate}\n`);
    for (const { name, value, text } of parts)
      context.stdout.write(`  ${value >= 0 ? "+" : "−"}${Math.abs(value).toFixed(2)} ${name.padEnd(10)} ${text}\n`);
    return exitCode.done;
  });
}

/** `guild knowledge export`. */
export function exportKnowledge(context: Context, options: ScopeOptions & { output?: string }): Promise<number> {
  return withConnection(context, async ({ knowledge }) => {
    const scopes = options.scope === undefined ? [] : await scopesOf(context, options);
    await writeChunks(context, options.output, knowledge.exportKnowledge({ scopes }));
    return exitCode.done;
  });
}

/** `guild knowledge import`. */
export function importKnowledge(context: Context, file: string, options: JsonOption): Promise<number> {
  return withConnection(context, async ({ knowledge }) => {
    const { items, versions, knownAlready } = await knowledge.importKnowledge(readChunks(context, file));
    const told = { items: Number(items), versions: Number(versions), known_already: Number(knownAlready) };
    const text =
      options.json === true
        ? JSON.stringify({ id: file, type: "import", ...told })
        : `${told.items} items, ${told.versions} versions; ${told.known_already} operations were known already`;
    context.stdout.write(`${text}\n`);
    return exitCode.done;
  });
}

/** `guild knowledge conflicts`: lists them, or with `settle` ends one. */
export function conflicts(
  context: Context,
  options: JsonOption & { all?: boolean; settle?: string; strategy?: string; winner?: string },
): Promise<number> {
  return withConnection(context, async ({ knowledge }) => {
    const listed =
      options.settle === undefined
        ? (await knowledge.listConflicts({ withResolved: options.all === true })).conflicts
        : [
            (await knowledge.resolveConflict({ id: options.settle, strategy: strategyOf(options.strategy), winner: options.winner ?? "" }))
              .conflict,
          ];
    const style = createStyle(context.color);
    for (const conflict of listed) {
      if (conflict === undefined) continue;
      const { id, kind, reason, resolution, sides } = conflict;
      if (options.json === true) {
        context.stdout.write(`${JSON.stringify({ id, type: "conflict", kind, reason, resolution, sides: sides.map(knowledgeJson) })}\n`);
        continue;
      }
      context.stdout.write(
        `${style.bold(id)}  ${kind}: ${oneLine(reason, 200)}${resolution === "" ? style.warn("  open") : `  ${resolution}`}\n`,
      );
      for (const side of sides) context.stdout.write(`  ${knowledgeLine(side, style)}\n`);
    }
    if (listed.length === 0 && options.json !== true) context.stdout.write("no conflicts\n");
    return exitCode.done;
  });
}

function changed(
  context: Context,
  options: JsonOption,
  word: string,
  work: (connection: Connection) => Promise<Knowledge | undefined>,
): Promise<number> {
  return withConnection(context, async (connection) => {
    const item = await work(connection);
    if (item === undefined) throw new GuildError("internal", "the daemon answered without an item");
    tell(context, options, item, word);
    return exitCode.done;
  });
}

function tell(context: Context, options: JsonOption, item: Knowledge, word: string): void {
  context.stdout.write(
    options.json === true ? `${JSON.stringify(knowledgeJson(item))}\n` : `${word}: ${item.id} version ${item.version}\n`,
  );
}

/** Where to look: in a project under the name of its path too, as long as no session there has taken that along. */
async function scopesOf(context: Context, options: ScopeOptions): Promise<Scope[]> {
  const scope = await scopeOf(context, options);
  if (scope.kind !== scopeKinds["project"]) return [scope];
  const { byPath } = await projectIdentity(workspaceOf(context, options.workspace));
  return byPath === scope.id ? [scope] : [scope, { ...scope, id: byPath }];
}

async function projectOf(context: Context, options: ScopeOptions): Promise<string> {
  return (await projectIdentity(workspaceOf(context, options.workspace))).name;
}

async function scopeOf(context: Context, options: ScopeOptions): Promise<Scope> {
  const id = {
    user: context.env["USER"] ?? "",
    project: options.scope === undefined || options.scope === "project" ? await projectOf(context, options) : "",
    team: options.team ?? "",
    global: "",
  };
  const name = (options.scope ?? "project") as keyof typeof id;
  const kind = scopeKinds[name];
  if (kind === undefined)
    throw new GuildError("invalid_argument", `unknown scope: ${name}`, { remedy: Object.keys(scopeKinds).join(", ") });
  if (name === "team" && id.team === "")
    throw new GuildError("invalid_argument", "a team without its name", { remedy: "give --team NAME" });
  return { $typeName: "guildhall.v1.Scope", kind, id: name === "user" && id.user === "" ? "me" : id[name] };
}

/** `path` or `path:first-last`; the digest is of the whole file as it is now. */
function fileEvidence(context: Context, options: ScopeOptions, given: string): MessageInitShape<typeof EvidenceSchema> {
  const [, name = given, first = "0", last = first] = /^(.*?)(?::(\d+)(?:-(\d+))?)?$/.exec(given) ?? [];
  const workspace = workspaceOf(context, options.workspace);
  const file = resolve(context.cwd, name);
  try {
    const path = relative(realpathSync(workspace), realpathSync(file));
    if (path.startsWith("..") || isAbsolute(path))
      throw new GuildError("invalid_argument", "evidence outside of the project", { subject: file, remedy: "name a file below it" });
    const { size } = statSync(file);
    if (size > LARGEST_EVIDENCE) {
      throw new GuildError(
        "invalid_argument",
        `evidence of ${Math.round(size / 2 ** 20)} MiB: changes of so large a file are not watched`,
        {
          subject: file,
          remedy: "name a smaller file, or a page with --url",
        },
      );
    }
    const digest = `sha256:${createHash("sha256").update(readFileSync(file)).digest("hex")}`;
    return { kind: { case: "file", value: { path, digest, firstLine: Number(first), lastLine: Number(last) } } };
  } catch (error) {
    if (GuildError.is(error)) throw error;
    throw new GuildError("not_found", "the evidence cannot be read", { subject: file, remedy: "check its path", cause: error });
  }
}

function urlEvidence(url: string): MessageInitShape<typeof EvidenceSchema> {
  return { kind: { case: "url", value: url } };
}

function time<Name extends string>(name: Name, text: string | undefined): { [Key in Name]?: ReturnType<typeof timestampFromDate> } {
  if (text === undefined) return {};
  const date = new Date(text);
  if (Number.isNaN(date.getTime()))
    throw new GuildError("invalid_argument", `no time: ${text}`, { remedy: "write it as 2026-01-31 or 2026-01-31T12:00:00Z" });
  return { [name]: timestampFromDate(date) } as { [Key in Name]?: ReturnType<typeof timestampFromDate> };
}

function strategyOf(name: string | undefined): ConflictStrategy {
  const value = strategies[name ?? ""];
  if (value === undefined)
    throw new GuildError("invalid_argument", `unknown strategy: ${name}`, { remedy: Object.keys(strategies).filter(Boolean).join(", ") });
  return value;
}

const feedbackKinds: Partial<Record<string, FeedbackKind>> = {
  used: FeedbackKind.USED,
  confirmed: FeedbackKind.CONFIRMED,
  dismissed: FeedbackKind.DISMISSED,
  pinned: FeedbackKind.PINNED,
  unpinned: FeedbackKind.UNPINNED,
};
const strategies: Partial<Record<string, ConflictStrategy>> = {
  "": ConflictStrategy.UNSPECIFIED,
  newest: ConflictStrategy.NEWEST,
  most_trusted: ConflictStrategy.MOST_TRUSTED,
  keep_both: ConflictStrategy.KEEP_BOTH,
  per_field: ConflictStrategy.PER_FIELD,
};
