import { posix } from "node:path";

import { type Execution, GuildError, type ToolContext, type ToolResult } from "@guildhall/core";
import { Risk } from "@guildhall/protocol";
import { z } from "zod";

import { defineTool } from "./define-tool.ts";
import { statFile } from "./edit/open-file.ts";
import { lexicalPath, workspacePath } from "./workspace-path.ts";

const [MOST_RESULTS, LONGEST_LINE, LONGEST_OUTPUT, TIMEOUT_MS] = [1_000, 300, 16_000, 30_000];

const schema = z.strictObject({
  pattern: z.string().min(1).describe("content: a regular expression (Rust syntax); files: a glob or part of a name"),
  path: z.string().optional().describe("File or directory to search; default the workspace"),
  glob: z.string().optional().describe('content: only files that match, such as "*.ts"'),
  kind: z.enum(["content", "files"]).optional().describe("Default content"),
  case: z.enum(["smart", "sensitive", "insensitive"]).optional().describe("Default smart"),
  context: z.int().min(0).max(20).optional().describe("Lines around each match"),
  max_results: z.int().min(1).max(MOST_RESULTS).optional().describe("Default 100"),
});

type SearchInput = z.output<typeof schema>;

/**
 * Searches contents and names with ripgrep, run inside the sandbox: linear time whatever the pattern, what `.gitignore` names and `.git`
 * left out, results in the order of paths.
 */
export function createSearchTool(options: { workspace: string; rg?: string }) {
  const rg = options.rg ?? "/run/guildhall/bin/rg";
  return defineTool({
    name: "search",
    description: "Search file contents by regular expression, or file names; skips what .gitignore names.",
    schema,
    risk: () => Risk.LOW,
    resources: ({ path }) => [{ name: `file:${lexicalPath(options.workspace, path ?? ".")}`, access: "read" }],
    repeatable: () => true,
    async execute(input, context) {
      try {
        return await search(rg, input, context);
      } catch (error) {
        if (GuildError.is(error) && ["invalid_argument", "not_found", "permission_denied"].includes(error.code)) {
          return { status: "error", output: error.line };
        }
        throw error;
      }
    },
  });
}

async function search(rg: string, input: SearchInput, context: ToolContext): Promise<ToolResult> {
  const { sandbox } = context.session;
  if (input.pattern.includes("\0") || input.glob?.includes("\0") === true)
    throw new GuildError("invalid_argument", "NUL cannot be searched for");
  const path = await workspacePath(sandbox, input.path ?? ".");
  await statFile(sandbox.files, path);
  const root = await sandbox.files.realpath(sandbox.workspace);
  const target = posix.relative(root, path.real);
  const most = input.max_results ?? 100;
  const files = input.kind === "files";
  const execution = await sandbox.exec(
    { argv: [rg, ...(files ? fileArguments(input) : contentArguments(input)), "--", ...(target === "" ? [] : [target])], cwd: root },
    context.signal,
  );
  try {
    const found = files ? new NameCollector(most) : new MatchCollector(most);
    const problem = await readOutput(execution, found, context.signal);
    const status = found.full ? undefined : await execution.exit;
    if (status?.signal !== undefined) throw new GuildError("internal", `rg was ended by ${status.signal}`);
    // Complaints about single files are suppressed; what is left is about the pattern or the glob.
    if (problem !== "" && found.results === 0) throw new GuildError("invalid_argument", problem);
    return report(found, path.shown, files);
  } finally {
    await execution.close();
  }
}

/** The last glob that matches decides. */
const NO_GIT = "--glob=!.git";
const COMMON = ["--no-config", "--color=never", "--hidden", "--sort=path", "--no-messages"];

function contentArguments(input: SearchInput): string[] {
  const cases = { smart: "--smart-case", sensitive: "--case-sensitive", insensitive: "--ignore-case" };
  return [
    ...COMMON,
    cases[input.case ?? "smart"],
    "--with-filename",
    "--line-number",
    "--no-heading",
    "--null",
    "--crlf",
    "--max-columns=5000",
    "--max-columns-preview",
    ...(input.context === undefined ? [] : [`--context=${input.context}`]),
    ...(input.glob === undefined ? [] : [`--glob=${input.glob}`]),
    NO_GIT,
    // Without it rg refuses a pattern with a line end in it.
    ...(/\\n|\n/.test(input.pattern) ? ["--multiline"] : []),
    `--regexp=${input.pattern}`,
  ];
}

function fileArguments(input: SearchInput): string[] {
  const glob = /[*?[{]/.test(input.pattern) ? input.pattern : `*${input.pattern}*`;
  const sensitive = input.case === "sensitive" || (input.case !== "insensitive" && /[A-Z]/.test(input.pattern));
  // Where case does not matter, both must be of that kind: rg puts such globs behind all others.
  const option = sensitive ? "--glob" : "--iglob";
  return [...COMMON, "--files", "--null", `${option}=${glob}`, `${option}=!.git`];
}

interface Collector {
  readonly results: number;
  readonly full: boolean;
  readonly lines: string[];
  push(text: string): void;
  end(): void;
}

/** Names that end with NUL. */
class NameCollector implements Collector {
  readonly lines: string[] = [];
  full = false;
  readonly #most: number;
  #rest = "";

  constructor(most: number) {
    this.#most = most;
  }

  get results(): number {
    return this.lines.length;
  }

  push(text: string): void {
    const names = (this.#rest + text).split("\0");
    this.#rest = names.pop() ?? "";
    for (const name of names) {
      this.full ||= this.lines.length >= this.#most;
      if (!this.full) this.lines.push(name);
    }
  }

  end(): void {
    this.#rest = "";
  }
}

/** Lines `file NUL number : text` for matches, with `-` for context, `--` between groups; made into one heading a file. */
class MatchCollector implements Collector {
  readonly lines: string[] = [];
  results = 0;
  full = false;
  readonly #most: number;
  #rest = "";
  #file = "";
  #size = 0;

  constructor(most: number) {
    this.#most = most;
  }

  push(text: string): void {
    const rows = (this.#rest + text).split("\n");
    this.#rest = rows.pop() ?? "";
    for (const row of rows) this.#row(row);
  }

  end(): void {
    if (this.#rest !== "") this.#row(this.#rest);
    this.#rest = "";
  }

  #row(row: string): void {
    if (this.full) return;
    const [, file = "", number = "", mark = "", text = ""] = /^([^\0]*)\0(\d+)([:-])(.*)$/s.exec(row) ?? [];
    if (file === "") {
      if (row === "--" && this.lines.length > 0) this.#add("  …");
      return;
    }
    if (mark === ":" && this.results >= this.#most) {
      this.full = true;
      return;
    }
    if (file !== this.#file) this.#add(file);
    this.#file = file;
    if (mark === ":") this.results += 1;
    const shown = text.replace(/\r$/, "");
    this.#add(`  ${number}${mark} ${shown.length > LONGEST_LINE ? `${shown.slice(0, LONGEST_LINE).toWellFormed()}…` : shown}`);
  }

  #add(line: string): void {
    this.lines.push(line);
    this.#size += line.length + 1;
    if (this.#size > LONGEST_OUTPUT) this.full = true;
  }
}

/** Feeds the collector until it is full or the output ends; gives what rg complained of. */
async function readOutput(execution: Execution, found: Collector, signal: AbortSignal): Promise<string> {
  const decoder = new TextDecoder();
  let problem = "";
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    execution.close().catch(() => undefined); // closed again by the caller, who sees what is wrong
  }, TIMEOUT_MS);
  try {
    for await (const { stream, bytes } of execution.output) {
      if (stream === "stderr") problem = (problem + Buffer.from(bytes).toString()).slice(0, 2_000);
      else found.push(decoder.decode(bytes, { stream: true }));
      if (found.full) break;
    }
  } finally {
    clearTimeout(timer);
  }
  signal.throwIfAborted();
  if (late)
    throw new GuildError("invalid_argument", `the search took longer than ${TIMEOUT_MS / 1000} s`, { remedy: "search a smaller path" });
  found.end();
  return problem.trim();
}

function report(found: Collector, shown: string, files: boolean): ToolResult {
  const noun = files ? "file" : "match";
  const data = { results: found.results, truncated: found.full };
  if (found.results === 0)
    return { status: "ok", output: `No ${files ? "files" : "matches"} in ${shown === "." ? "the workspace" : shown}.`, data };
  const plural = found.results === 1 ? noun : files ? "files" : "matches";
  const more = found.full ? "; there are more: narrow the search or raise max_results" : "";
  return { status: "ok", output: `${found.lines.join("\n")}\n[${found.results} ${plural}${more}]`, data };
}
