import assert from "node:assert/strict";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";

import { verifies } from "../verifies.ts";
import { describeInProviders } from "./providers.ts";
import { openToolBench, type ToolBench } from "./tool-bench.ts";

async function openSample(...args: Parameters<typeof openToolBench>): Promise<ToolBench> {
  const bench = await openToolBench(...args);
  const put = async (path: string, content: string | Buffer): Promise<void> => {
    await mkdir(join(bench.workspace, path, ".."), { recursive: true });
    await writeFile(join(bench.workspace, path), content);
  };
  await mkdir(join(bench.workspace, ".git"));
  await put(".git/config", "needle\n");
  await put(".gitignore", "node_modules\n");
  await put("node_modules/m/index.js", "needle\n");
  await put(".github/ci.yml", "run: needle\n");
  await put("src/a.ts", "one\nNeedle here\nthree\n");
  await put("src/b.ts", "needle(1)\r\nneedle(2)\r\n");
  await put("-n", "needle of a name like an option\n");
  await put("binary", Buffer.from([0, 1, 2, ...Buffer.from("needle")]));
  await put("latin", Buffer.from("caf\xe9 needle\n", "latin1"));
  await put("name: 5: odd", "needle\n");
  return bench;
}

await describeInProviders("search", (provider) => {
  test("content: matches by file and line, what is ignored left out", async () => {
    verifies("D6");
    await using bench = await openSample(provider);
    const result = await bench.call("search", { pattern: "needle" });
    assert.equal(
      result.output,
      "-n\n  1: needle of a name like an option\n.github/ci.yml\n  1: run: needle\nlatin\n  1: caf\ufffd needle\nname: 5: odd\n  1: needle\nsrc/a.ts\n  2: Needle here\nsrc/b.ts\n  1: needle(1)\n  2: needle(2)\n[7 matches]",
    );
  });

  test("content: glob, path, case, context and limits", async () => {
    verifies("D6");
    await using bench = await openSample(provider);
    const search = async (args: object): Promise<string> => (await bench.call("search", { pattern: "needle", ...args })).output;
    assert.equal(await search({ glob: "*.ts", case: "sensitive" }), "src/b.ts\n  1: needle(1)\n  2: needle(2)\n[2 matches]");
    assert.equal(await search({ path: "src/a.ts", context: 1 }), "src/a.ts\n  1- one\n  2: Needle here\n  3- three\n[1 match]");
    assert.match(await search({ max_results: 2 }), /\[2 matches; there are more/);
    assert.match(await search({ path: "-n" }), /^-n\n/);
    assert.match(await search({ pattern: "-n", glob: "nothing*" }), /No matches/);
    assert.equal(await search({ pattern: "one\\nNeedle" }), "src/a.ts\n  1: one\n  2: Needle here\n[2 matches]");
  });

  test("files: by glob and by part of a name", async () => {
    verifies("D6");
    await using bench = await openSample(provider);
    const files = async (pattern: string, more: object = {}): Promise<string> =>
      (await bench.call("search", { kind: "files", pattern, ...more })).output;
    assert.equal(await files("**/*.ts"), "src/a.ts\nsrc/b.ts\n[2 files]");
    assert.equal(await files("ci"), ".github/ci.yml\n[1 file]");
    assert.doesNotMatch(await files("*"), /\.git\//);
    assert.equal(await files("odd"), "name: 5: odd\n[1 file]");
    assert.match(await files("config"), /No files/);
    assert.match(await files("*", { max_results: 3 }), /\[3 files; there are more/);
  });

  test("mistakes are told", async () => {
    await using bench = await openSample(provider);
    await symlink("/etc", join(bench.workspace, "away"));
    for (const [args, pattern] of [
      [{ pattern: "(" }, /unclosed group/],
      [{ pattern: "x", path: "nowhere" }, /there is no nowhere/],
      [{ pattern: "x", path: "../.." }, /outside the workspace/],
      [{ pattern: "x", path: "away" }, /outside the workspace/],
      [{ pattern: "" }, /pattern/],
    ] as const) {
      const result = await bench.call("search", args);
      assert.equal(result.status, "error", JSON.stringify(args));
      assert.match(result.output, pattern);
    }
  });

  test("a pattern that is costly elsewhere, and a huge line, end soon and stay small", { timeout: 20_000 }, async () => {
    await using bench = await openToolBench(provider);
    await writeFile(join(bench.workspace, "evil"), `${"a".repeat(2_000_000)}b\n`);
    const result = await bench.call("search", { pattern: "(a|aa)+c" });
    assert.match(result.output, /No matches/);
    const long = await bench.call("search", { pattern: "a+b" });
    assert.ok(long.output.length < 1_000);
  });
});
