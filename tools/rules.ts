/** Rules of this repository that no stock linter has. Prints every breach; exits 1 when there is one. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** A breach of a rule, at a line. */
export interface Breach {
  line: number;
  rule: string;
}

/** Files that may be longer than 400 lines, and why. */
const longFiles: Record<string, string> = {
  "package-lock.json": "npm writes it",
  "docs/mission.md": "copied whole",
  LICENSE: "the licence's own text",
};

const longest = 400;

/** Files that the length rule is about. */
const counted = /\.(ts|mjs|c|h|sh|md)$/;
const typescript = /\.ts$/;
const testing = /(\.test|\.contract)\.ts$|\/testing\/|^(tools|e2e|bench)\//;

/** What breaks the rules in one file; `path` is from the root, with forward slashes. */
export function breachesIn(path: string, text: string): Breach[] {
  const lines = text.split("\n");
  const found: Breach[] = [];
  const generated = path.includes("/gen/") || path === "e2e/requirements.ts";
  if (counted.test(path) && !generated && lines.length > longest + 1 && longFiles[path] === undefined) {
    found.push({ line: longest + 1, rule: `longer than ${longest} lines: it holds two things; part them` });
  }
  if (/(^|\/)(utils?|helpers?|common|manager)(\.ts|\/|$)/.test(path)) {
    found.push({ line: 1, rule: "named utils, helpers, common or manager: name the concept" });
  }
  lines.forEach((line, index) => {
    for (const [pattern, rule, applies] of linePatterns) {
      const explained = rule.startsWith("a swallowed") && [line, lines[index - 1] ?? ""].some((near) => /\/\/|\*\//.test(near));
      if (applies(path) && !generated && pattern.test(line) && !explained) found.push({ line: index + 1, rule });
    }
  });
  return found;
}

const everywhere = (path: string): boolean => !path.startsWith("tools/rules") && path !== "package-lock.json";
const shipped = (path: string): boolean => typescript.test(path) && !testing.test(path);

const linePatterns: Array<[RegExp, string, (path: string) => boolean]> = [
  [
    /(^|[\s"'`(=:])\/(work|root|home\/[a-z]+|tmp\/[a-z]+)\/[A-Za-z0-9._-]/,
    "a path of one machine: pass it in, or make it in a temporary directory",
    machinePathsMatter,
  ],
  [/\bthrow new Error\(/, "a bare Error: throw GuildError with subject and remedy", shipped],
  [
    /\.catch\(\(\) => (\{\}|undefined|null)\)/,
    "a swallowed rejection: handle it, or say in a comment there or above why it may be lost",
    shipped,
  ],
  [/\bcatch( \(\w+\))? \{\s*\}/, "a swallowed error: handle it, or say inside why it may be lost", shipped],
  [/\b(test|it|describe|suite)\.only\(/, "only: the other tests would not run", (path) => typescript.test(path)],
  [/^(<<<<<<<|>>>>>>>) /, "a merge conflict", everywhere],
];

/** Inputs and expectations of tests name such paths without using them. */
function machinePathsMatter(path: string): boolean {
  return everywhere(path) && !testing.test(path) && /\.(ts|mjs|sh|json|md|toml|yaml|nix|c|h)$|(^|\/)[^.]+$/.test(path);
}

if (import.meta.main) {
  const root = dirname(import.meta.dirname);
  const files = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "-z"], { cwd: root, encoding: "utf8" });
  let count = 0;
  for (const path of new Set(files.split("\0").filter(Boolean))) {
    const text = read(join(root, path));
    if (text === undefined || text.includes("\0")) continue;
    for (const { line, rule } of breachesIn(path, text)) {
      console.error(`${path}:${line}: ${rule}`);
      count++;
    }
  }
  if (count > 0) process.exitCode = 1;
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined; // Deleted and not committed yet, or a link to a directory.
  }
}
