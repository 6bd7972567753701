import assert from "node:assert/strict";
import { chmod, link, lstat, mkdir, readFile, readlink, stat, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { test } from "node:test";

import type { SandboxProvider } from "@guildhall/core";

import { verifies } from "../verifies.ts";
import { createCases, type EditCase, type FileSpec, insertCases, pathCases, replaceCases } from "./edit-cases.ts";
import { describeInProviders } from "./providers.ts";
import { openToolBench } from "./tool-bench.ts";

await describeInProviders("edit", (provider) => {
  for (const one of [...replaceCases, ...insertCases, ...createCases, ...pathCases]) {
    test(one.name, async () => {
      verifies("D6");
      await runCase(provider, one);
    });
  }

  test("a change by somebody else is told of, kept, and not undone", async () => {
    verifies("D6");
    await using bench = await openToolBench(provider);
    const path = join(bench.workspace, "f");
    await writeFile(path, "a\nb\n");
    await bench.edit({ command: "view", path: "f" });
    await bench.bash("echo c >> f");
    const edited = await bench.edit({ command: "str_replace", path: "f", old_str: "a", new_str: "x" });
    assert.match(edited.output, /changed by something else since you last saw it/);
    assert.equal(await readFile(path, "utf8"), "x\nb\nc\n");
    await bench.bash("echo d >> f");
    const undone = await bench.edit({ command: "undo", path: "f" });
    assert.equal(undone.status, "error");
    assert.equal(await readFile(path, "utf8"), "x\nb\nc\nd\n");
  });
});

async function runCase(provider: SandboxProvider, { before = {}, steps, after = {}, same }: EditCase): Promise<void> {
  await using bench = await openToolBench(provider);
  for (const [path, spec] of Object.entries(before)) await make(join(bench.workspace, path), spec, bench.workspace);
  for (const { args, status, output } of steps) {
    const real = JSON.parse(JSON.stringify(args).replaceAll("<workspace>", bench.workspace)) as object;
    const result = await bench.edit(real);
    const shown = `${JSON.stringify(args).slice(0, 300)} → ${JSON.stringify(result).slice(0, 3000)}`;
    assert.equal(result.status, status, shown);
    if (output !== undefined) assert.match(result.output, output, shown);
    assert.ok(result.output.length < 20_000, "an observation is bounded");
  }
  for (const [path, spec] of Object.entries(after)) await check(join(bench.workspace, path), spec);
  if (same !== undefined) {
    const [one, other] = await Promise.all(same.map((path) => stat(join(bench.workspace, path))));
    assert.equal(one?.ino, other?.ino, "still one file");
  }
}

async function make(path: string, spec: FileSpec, workspace: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  if (typeof spec === "string" || Buffer.isBuffer(spec)) await writeFile(path, spec);
  else if ("link" in spec) await symlink(spec.link, path);
  else if ("hardLink" in spec) await link(join(workspace, spec.hardLink), path);
  else if ("directory" in spec) await mkdir(path);
  else {
    await writeFile(path, spec.text);
    await chmod(path, spec.mode);
  }
}

async function check(path: string, spec: FileSpec | undefined): Promise<void> {
  if (spec === undefined) await assert.rejects(lstat(path), { code: "ENOENT" });
  else if (typeof spec === "string" || Buffer.isBuffer(spec)) assert.deepEqual(await readFile(path), Buffer.from(spec as string));
  else if ("link" in spec) assert.equal(await readlink(path), spec.link);
  else if ("text" in spec) {
    assert.equal(await readFile(path, "utf8"), spec.text);
    assert.equal((await stat(path)).mode & 0o7777, spec.mode);
  }
}
