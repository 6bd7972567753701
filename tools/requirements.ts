/**
 * `docs/mission.md` is the one list of what Guildhall must do. This turns its rows into `e2e/requirements.ts`, so that tests cite them
 * by id and the compiler knows the ids.
 *
 * `write` generates; `check` compares, and fails when a row that `e2e/status.ts` says to work, wholly or partly, is cited by no test.
 */
import { globSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

export interface Requirement {
  id: string;
  capability: string;
  works: string;
}

/** Rows `| A1 | capability | works when |` of the mission's tables, in its order. */
export function parseMission(markdown: string): Requirement[] {
  return [...markdown.matchAll(/^\| ([A-Z]\d+) \| (.+?) \| (.+?) \|$/gm)].map(([, id = "", capability = "", works = ""]) => ({
    id,
    capability,
    works,
  }));
}

/** The generated module. */
export function renderRequirements(rows: Requirement[]): string {
  const lines = rows.map((row) => `  ${row.id}: { capability: ${JSON.stringify(row.capability)}, works: ${JSON.stringify(row.works)} },`);
  return [
    "// Generated from docs/mission.md by `npm run requirements`; not for editing.",
    "",
    "/** Every row of the mission: what it is called, and when it works. */",
    "export const requirements = {",
    ...lines,
    "} as const;",
    "",
    "export type RequirementId = keyof typeof requirements;",
    "",
  ].join("\n");
}

/** Ids that a test's source cites: `verifies("A6", "D1")`. */
export function citedIn(source: string): string[] {
  return [...source.matchAll(/\bverifies\(([^)]*)\)/g)].flatMap(([, list = ""]) =>
    [...list.matchAll(/"([^"]+)"/g)].map(([, id = ""]) => id),
  );
}

/** What is wrong, a line each; empty: nothing. */
export function faults(rows: Requirement[], working: Iterable<string>, cited: Map<string, string[]>): string[] {
  const known = new Set(rows.map((row) => row.id));
  const citedIds = new Set([...cited.values()].flat());
  return [
    ...[...cited].flatMap(([file, ids]) =>
      ids.filter((id) => !known.has(id)).map((id) => `${file} cites ${id}, which the mission does not have`),
    ),
    ...[...working].filter((id) => !known.has(id)).map((id) => `e2e/status.ts names ${id}, which the mission does not have`),
    ...[...working].filter((id) => !citedIds.has(id)).map((id) => `${id} is in e2e/status.ts, but no test cites it`),
  ];
}

if (import.meta.main) {
  const root = dirname(import.meta.dirname);
  const generated = join(root, "e2e/requirements.ts");
  const rows = parseMission(readFileSync(join(root, "docs/mission.md"), "utf8"));
  if (process.argv[2] === "write") {
    writeFileSync(generated, renderRequirements(rows));
  } else {
    const { status } = await import("../e2e/status.ts");
    const files = globSync("{packages/*/src,e2e}/**/*.test.ts", { cwd: root });
    const cited = new Map(files.map((file) => [file, citedIn(readFileSync(join(root, file), "utf8"))]));
    const working = Object.keys(status);
    const found = faults(rows, working, cited);
    if (readFileSync(generated, "utf8") !== renderRequirements(rows)) found.unshift("e2e/requirements.ts is not what docs/mission.md says");
    for (const fault of found) console.error(fault);
    console.error(`${rows.length} requirements, ${working.length} claimed, ${new Set([...cited.values()].flat()).size} cited`);
    if (found.length > 0) process.exitCode = 1;
  }
}
