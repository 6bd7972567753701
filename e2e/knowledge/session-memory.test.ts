import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const program = fileURLToPath(import.meta.resolve("./remembering.ts"));

test("a session's memory survives kill -9: the log is taken in again, and what was embedded is not embedded twice", async () => {
  const directory = await mkdtemp(join(tmpdir(), "guild-knowledge-"));
  try {
    const first = spawn(process.execPath, [program, directory, "slowly"], { stdio: ["ignore", "pipe", "inherit"] });
    const ended = once(first, "exit");
    for await (const line of createInterface({ input: first.stdout })) {
      if ((JSON.parse(line) as { remembered?: number }).remembered === 3) break;
    }
    first.kill("SIGKILL");
    await ended;

    const second = spawn(process.execPath, [program, directory], { stdio: ["ignore", "pipe", "inherit"] });
    const exit = once(second, "exit");
    let last = "";
    for await (const line of createInterface({ input: second.stdout })) last = line;
    assert.deepEqual(await exit, [0, null]);
    const { kind, first: best, degraded, counts } = JSON.parse(last) as Record<string, unknown> & { counts: Record<string, number> };
    assert.equal(kind, "faiss");
    assert.equal(best, "The integration tests need the staging database on port 6543.");
    assert.deepEqual(degraded, []);
    assert.deepEqual([counts["diskHits"], counts["misses"]], [3, 3], "three notes from disk; two notes and the question were new");
  } finally {
    await rm(directory, { recursive: true });
  }
});
