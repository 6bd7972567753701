import { type Tool, type ToolResult } from "@guildhall/core";
import { Risk } from "@guildhall/protocol";
import { z } from "zod";

import { CoChange } from "../project/co-change.ts";
import { CodeGraph } from "../project/code-graph.ts";
import { ProjectIndex } from "../project/project-index.ts";
import type { Repository } from "../project/repository.ts";

const schema = z.strictObject({
  query: z.string().min(1).max(500).optional().describe("What the code does, in words"),
  with: z.array(z.string().min(1)).min(1).max(20).optional().describe("Paths: which files usually change together with them"),
  limit: z.int().min(1).max(30).optional().describe("Default 8"),
});

/** Lines of a found piece that are shown. */
const SHOWN = 12;

/** One index a session, made when it is first asked and brought up to date by file digest at each question. */
export function createCodeSearchTool(open: () => Promise<Repository>): Tool<typeof schema> {
  const index = new ProjectIndex();
  let updating: Promise<unknown> = Promise.resolve();
  const graph = new CodeGraph();
  let known: { head: string; changes: CoChange } | undefined;

  async function byWords(repository: Repository, query: string, limit: number, signal: AbortSignal): Promise<string[]> {
    const update = updating.then(async () => await index.update(await repository.files(signal)));
    // Whoever asked is told; the next question looks again.
    updating = update.catch(() => undefined);
    await update;
    const { found } = await index.search(query, limit, signal);
    return found.map(({ path, name, firstLine, lastLine, text }) => {
      const lines = text.split("\n");
      const shown = lines.slice(0, SHOWN).map((line) => `    ${line.slice(0, 200)}`);
      return [
        `${path}:${firstLine}-${lastLine}${name === "" ? "" : ` ${name}`}`,
        ...shown,
        ...(lines.length > SHOWN ? ["    …"] : []),
      ].join("\n");
    });
  }

  async function together(repository: Repository, paths: readonly string[], limit: number, signal: AbortSignal): Promise<string[]> {
    const head = await repository.head(signal);
    if (known?.head !== head) {
      const changes = new CoChange({ graph });
      for (const change of await repository.history(signal)) changes.add(change);
      known = { head, changes };
    }
    const files = await repository.files(signal);
    const update = updating.then(() => graph.update(files));
    // Whoever asked is told; the next question looks again.
    updating = update.catch(() => undefined);
    await update;
    const there = new Set(files.map(({ path }) => path));
    const given = paths.map((path) => path.replace(/^\.\//, ""));
    return known.changes.companions(given, limit, (path) => there.has(path)).map(({ path }) => path);
  }

  return {
    name: "code_search",
    description:
      "Find code by what it does (`query`), or the files that usually change together with some (`with`). For exact text use search.",
    schema,
    source: "built-in",
    risk: () => Risk.LOW,
    resources: () => [{ name: "workspace", access: "read" }],
    repeatable: () => true,
    async execute({ query, with: paths, limit = 8 }, { signal }): Promise<ToolResult> {
      if ((query === undefined) === (paths === undefined)) return { status: "error", output: "Give either query or with." };
      const repository = await open();
      const found =
        query === undefined ? await together(repository, paths ?? [], limit, signal) : await byWords(repository, query, limit, signal);
      return { status: "ok", output: found.length === 0 ? "Nothing like it was found." : found.join("\n"), data: { found: found.length } };
    },
  };
}
