import assert from "node:assert/strict";
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
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
  await put(".gitignore", "out\n");
  await put("out/x.ts", "log(1);\n");
  await put("src/a.ts", '// log(0) in a comment\nlog("log(1)");\n  log( 2,\n    3);\n');
  await put("src/crlf.ts", "\ufefflog(4);\r\nother();\r\nif (log(5)) {\r\n}");
  await put("src/latin.ts", Buffer.from("log('caf\xe9');\n", "latin1"));
  await put("b.py", "log(1)\n");
  return bench;
}

await describeInProviders("ast", (provider) => {
  test("search finds code, not comments and strings, in files that are not ignored", async () => {
    verifies("D10");
    await using bench = await openSample(provider);
    const result = await bench.call("ast", { pattern: "log($$$A)", language: "typescript" });
    assert.deepEqual((result.data as { places: unknown }).places, [
      { path: "src/a.ts", line: 2 },
      { path: "src/a.ts", line: 3 },
      { path: "src/crlf.ts", line: 1 },
      { path: "src/crlf.ts", line: 3 },
      { path: "src/latin.ts", line: 1 },
    ]);
    assert.match(result.output, /^src\/a\.ts\n {2}log\("log\(1\)"\) {2}\(line 2\)\n/);
    const one = await bench.call("ast", { pattern: "log($A)", path: "b.py" });
    assert.match(one.output, /^b\.py\n {2}log\(1\) {2}\(line 1\)\n\[1 match in 1 file\]$/);
    assert.equal((await bench.call("ast", { pattern: "nowhere($A)", language: "typescript" })).output, "No matches.");
  });

  test("a rewrite is shown first, then written, every other byte kept, and undone", async () => {
    verifies("D10", "D6");
    await using bench = await openSample(provider);
    const read = (path: string): Promise<Buffer> => readFile(join(bench.workspace, path));
    const before = await Promise.all(["src/a.ts", "src/crlf.ts", "src/latin.ts"].map(read));
    const args = { pattern: "log($$$A)", language: "typescript", rewrite: "print(\n  $$$A)" };
    const preview = await bench.call("ast", args);
    assert.match(preview.output, /- log\(4\) {2}\(line 1\)\n {2}\+ print\(\n {2}\+ {3}4\)\n[^]*nothing is written yet/);
    assert.deepEqual(await Promise.all(["src/a.ts", "src/crlf.ts", "src/latin.ts"].map(read)), before);

    const applied = await bench.call("ast", { ...args, apply: true });
    assert.match(applied.output, /\[5 matches in 3 files; written\]$/);
    assert.equal(String(await read("src/a.ts")), '// log(0) in a comment\nprint(\n  "log(1)");\n  print(\n    2,\n    3);\n');
    assert.equal(String(await read("src/crlf.ts")), "\ufeffprint(\r\n  4);\r\nother();\r\nif (print(\r\n  5)) {\r\n}");
    assert.deepEqual(await read("src/latin.ts"), Buffer.from("print(\n  'caf\xe9');\n", "latin1"));
    assert.equal(String(await read("out/x.ts")), "log(1);\n");
    for (const path of ["src/a.ts", "src/crlf.ts", "src/latin.ts"]) await bench.edit({ command: "undo", path });
    assert.deepEqual(await Promise.all(["src/a.ts", "src/crlf.ts", "src/latin.ts"].map(read)), before);
  });

  test("mistakes are told and change nothing", async () => {
    await using bench = await openSample(provider);
    await symlink("/etc", join(bench.workspace, "away"));
    for (const [args, message] of [
      [{ pattern: "log($A)" }, /language of the workspace is not clear.*typescript/],
      [{ pattern: "log($A)", language: "cobol" }, /no language cobol/],
      [{ pattern: "log($A)", language: "typescript", path: "../.." }, /outside the workspace/],
      [{ pattern: "log($A)", language: "typescript", path: "away" }, /outside the workspace/],
      [{ pattern: "log($A)", language: "typescript", apply: true }, /apply needs rewrite/],
      [{ pattern: "log($A)", language: "typescript", rewrite: "x($B)", apply: true }, /\$B of the replacement/],
      [{ pattern: "log($A)", language: "typescript", path: "src/latin.ts", rewrite: "log('→')", apply: true }, /Latin-1/],
    ] as const) {
      const result = await bench.call("ast", args);
      assert.equal(result.status, "error", JSON.stringify(args));
      assert.match(result.output, message);
    }
  });
});
