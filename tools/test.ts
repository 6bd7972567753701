/**
 * Runs every test there is, or those whose path contains one of the words given. `--full` sets `GUILD_TEST_FULL`, with which tests that
 * take a sample by default (crash points, seeds, sizes) take everything. Ends with node:test's closing lines, non-zero unless every
 * test passed; a skipped test that `skips.ts` does not list is a failure, and so is a process that outlives the tests.
 */
import { spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { globSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout } from "node:timers/promises";

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

/** Marks what the tests start, and what that starts in turn. */
const runVariable = "GUILD_TEST_RUN";
const runId = randomUUID();

/** Files at once: one more than there are processors, because what is tested end to end waits (for leases, starts, time-outs) more than it
 * computes; no more than four, for each starts programs of its own. */
const atOnce = Math.min(availableParallelism() + 1, 4);
/** A file that hangs is ended after this long, and fails. */
const limitMs = (full ? 60 : 5) * 60_000;
const skipsFile = join(root, ".cache", `skips-${process.pid}.jsonl`);
mkdirSync(dirname(skipsFile), { recursive: true });

const { status, signal } = spawnSync(
  process.execPath,
  [
    "--test",
    `--test-concurrency=${atOnce}`,
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
    // End to end, what ships is tested: the bundle, which also starts in a fraction of the time.
    env: { GUILD_TEST_BUNDLE: "1", ...process.env, [runVariable]: runId, ...(full ? { GUILD_TEST_FULL: "1" } : {}) },
  },
);
const unlisted = readSkips().filter((skip) => !allowedSkips.some(({ reason, here }) => here && skip.reason.startsWith(reason)));
for (const skip of unlisted) {
  console.error(`test: skipped without being listed in tools/skips.ts: ${skip.file}: ${skip.name} (${skip.reason || "no reason given"})`);
}
const left = await leftRunning();
for (const { pid, command } of left) {
  console.error(`test: still running after the tests, and ended now: ${pid} ${command}`);
  process.kill(pid, "SIGKILL");
}
process.exitCode = status === 0 && unlisted.length === 0 && left.length === 0 ? 0 : 1;
if (signal !== null) console.error(`test: ended by ${signal}`);

function parse(args: string[]): { full: boolean; words: string[] } {
  return { full: args.includes("--full"), words: args.filter((arg) => !arg.startsWith("--")) };
}

/** Processes of this run that have not ended within ten seconds; only where the system has /proc. */
async function leftRunning(): Promise<Array<{ pid: number; command: string }>> {
  for (let attempt = 0; ; attempt++) {
    const found = globSync("/proc/[0-9]*").flatMap((directory) => {
      try {
        if (!readFileSync(`${directory}/environ`, "latin1").includes(`${runVariable}=${runId}`)) return [];
        return [
          {
            pid: Number(directory.slice("/proc/".length)),
            command: readFileSync(`${directory}/cmdline`, "utf8").replaceAll("\0", " ").slice(0, 200),
          },
        ];
      } catch {
        return []; // Ended meanwhile, or another person's.
      }
    });
    if (found.length === 0 || attempt === 20) return found;
    await setTimeout(500);
  }
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
