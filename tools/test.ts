/**
 * Runs every test there is, or those whose path contains one of the words given. `--full` sets `GUILD_TEST_FULL`, with which tests that
 * take a sample by default (crash points, seeds, sizes) take everything. Ends with node:test's closing lines, non-zero unless every
 * test passed; a skipped test that `skips.ts` does not list is a failure.
 */
import { spawnSync } from "node:child_process";
import { globSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";

import type { Skipped } from "./skips-reporter.ts";
import { allowedSkips } from "./skips.ts";

const root = dirname(import.meta.dirname);
const { full, words } = parse(process.argv.slice(2));
const files = globSync("{packages/*/src,tools,e2e,bench}/**/*.test.ts", { cwd: root })
  .filter((file) => words.length === 0 || words.some((word) => file.includes(word)))
  .toSorted();
if (files.length === 0) {
  console.error(`test: no test file's path contains ${words.join(" or ")}`);
  process.exit(2);
}

/** A file that hangs is ended after this long, and fails. */
const limitMs = (full ? 60 : 8) * 60_000;
const skipsFile = join(root, ".cache", `skips-${process.pid}.jsonl`);
mkdirSync(dirname(skipsFile), { recursive: true });

const { status, signal } = spawnSync(
  process.execPath,
  [
    "--test",
    "--test-concurrency=2",
    `--test-timeout=${limitMs}`,
    "--test-reporter=./tools/skips-reporter.ts",
    `--test-reporter-destination=${skipsFile}`,
    "--test-reporter=spec",
    "--test-reporter-destination=stdout",
    ...files,
  ],
  {
    cwd: root,
    stdio: ["ignore", "inherit", "inherit"],
    env: { ...process.env, ...(full ? { GUILD_TEST_FULL: "1" } : {}) },
  },
);
const unlisted = readSkips().filter(
  (skip) => !allowedSkips.some((allowed) => allowed.file === skip.file && skip.name.includes(allowed.test)),
);
for (const skip of unlisted) {
  console.error(`test: skipped without being listed in tools/skips.ts: ${skip.file}: ${skip.name} (${skip.reason || "no reason given"})`);
}
process.exitCode = status === 0 && unlisted.length === 0 ? 0 : 1;
if (signal !== null) console.error(`test: ended by ${signal}`);

function parse(args: string[]): { full: boolean; words: string[] } {
  return { full: args.includes("--full"), words: args.filter((arg) => !arg.startsWith("--")) };
}

function readSkips(): Skipped[] {
  try {
    return readFileSync(skipsFile, "utf8")
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Skipped);
  } finally {
    rmSync(skipsFile, { force: true });
  }
}
