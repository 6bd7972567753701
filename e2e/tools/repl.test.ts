import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";

import { verifies } from "../verifies.ts";
import { describeInProviders } from "./providers.ts";
import { openToolBench, type ToolBench } from "./tool-bench.ts";

interface ReplData {
  status: string;
  timed_out: boolean;
  restarted: boolean;
  images: Array<{ digest: string; size: number; mime: string }>;
}

const PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/** The same in each language. */
const languages = {
  python: {
    keep: ["x = 20\ndef f(): return x + 1", "f() * 2", "42"],
    nothing: "y = 3",
    print: "print('to out'); import sys; print('to err', file=sys.stderr)",
    text: ["'a' + 'é'", "'aé'"],
    error: ["1 / 0", /File "<cell 1>", line 1[^]*ZeroDivisionError/],
    syntax: ["1 +", /SyntaxError/],
    await: "import asyncio\nawait asyncio.sleep(0.01, 'awaited')",
    forever: "while True: pass",
    sleep: "import time; time.sleep(100)",
    child: "import subprocess; subprocess.run(['sleep', '100'])",
    input: ["input()", /EOFError/],
    exit: ["import os; os._exit(7)", /ended \(.*7\)/],
    image: `import base64\nclass P:\n  def _repr_png_(self): return base64.b64decode('${PNG}')\nP()`,
    own: "sys, os, main, space, show = 1, 2, 3, 4, 5; sys + os + main + space + show",
    rich: "class H:\n  def _repr_html_(self): return '<b>bold</b>'\nH()",
    blob: "P()",
    display: `display(P()); display(5); None`,
    flood: "print('x' * 8_000_000)",
    huge: "'y' * 1_000_000",
    unicode: "print('→ ' * 3)",
    shadow: "import os; os.system('echo from a child')",
    stubborn: "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass",
  },
  node: {
    keep: ["const x = 20; function f() { return x + 1 }", "f() * 2", "42"],
    nothing: "var y = 3",
    print: "console.log('to out'); console.error('to err')",
    text: ["'a' + 'é'", "'aé'"],
    error: ["null.x", /TypeError: Cannot read prop/],
    syntax: ["1 +", /SyntaxError/],
    await: "import { setTimeout as later } from 'node:timers/promises'\nawait later(10, 'awaited')",
    forever: "while (true) {}",
    sleep: "await new Promise((done) => setTimeout(done, 100_000))",
    child: "require('child_process').spawnSync('sleep', ['100'])",
    input: ["require('fs').readFileSync(0, 'utf8', 0) && process.stdin.read()", /./],
    exit: ["process.exit(7)", /ended \(.*7\)/],
    image: `Buffer.from('${PNG}', 'base64')`,
    own: "const util = 1, session = 2, show = 3, Worker = 4, reply = 5; util + session + show + Worker + reply",
    rich: `({ [Symbol.for("Jupyter.display")]: async () => ({ "text/html": "<b>bold</b>" }) })`,
    blob: `new Blob([Buffer.from('${PNG}', 'base64')], { type: "image/png" })`,
    display: `display(Buffer.from('${PNG}', 'base64')); display(5); undefined`,
    flood: "console.log('x'.repeat(8_000_000))",
    huge: "'y'.repeat(1_000_000)",
    unicode: "console.log('→ '.repeat(3))",
    shadow: "require('child_process').execSync('echo from a child', { stdio: 'inherit' })",
    stubborn: "",
  },
} as const;

await describeInProviders("repl", (provider) => {
  for (const [name, code] of Object.entries(languages)) {
    const run = async (bench: ToolBench, text: string, more: object = {}) => {
      const result = await bench.call(name, { code: text, ...more });
      return { ...result, data: result.data as ReplData };
    };

    test(`${name}: state, values, output and errors`, async () => {
      verifies("D4", "D7");
      await using bench = await openToolBench(provider);
      assert.match((await run(bench, code.error[0])).output, code.error[1]);
      assert.equal((await run(bench, code.keep[0])).status, "ok");
      assert.equal((await run(bench, code.keep[1])).output, code.keep[2]);
      assert.equal((await run(bench, code.nothing)).output, "");
      const printed = await run(bench, code.print);
      assert.deepEqual(printed.output.split("\n").toSorted(), ["to err", "to out"]);
      assert.equal((await run(bench, code.text[0])).output, code.text[1]);
      assert.match((await run(bench, code.syntax[0])).output, code.syntax[1]);
      assert.equal((await run(bench, code.await)).output, "'awaited'");
      assert.equal((await run(bench, code.unicode)).output.trimEnd(), "→ → →");
      assert.match((await run(bench, code.shadow)).output, /^from a child/);
      assert.match((await run(bench, code.rich)).output, /^<b>bold<\/b>/);
      assert.equal((await run(bench, code.own)).output, "15", "every name is free");
    });

    test(`${name}: what takes too long is interrupted, and the state stays`, async () => {
      verifies("D7");
      await using bench = await openToolBench(provider);
      await run(bench, code.keep[0]);
      for (const text of [code.forever, code.sleep, code.child]) {
        const late = await run(bench, text, { timeout_s: 0.5 });
        assert.deepEqual([late.data.timed_out, late.data.restarted], [true, false], `${text}: ${late.output}`);
        if (text !== code.child) assert.match(late.output, /interrupted after 0.5 s; its state is kept/);
      }
      const stop = new AbortController();
      const cancelled = bench.call(name, { code: code.forever }, { signal: stop.signal });
      setTimeout(() => stop.abort(), 300);
      await cancelled.catch(() => undefined);
      assert.equal((await run(bench, code.keep[1])).output, code.keep[2]);
    });

    test(`${name}: an interpreter that ends is replaced; restart makes a fresh one`, async () => {
      verifies("D7");
      await using bench = await openToolBench(provider);
      await run(bench, code.keep[0]);
      const ended = await run(bench, code.exit[0]);
      assert.match(ended.output, code.exit[1]);
      assert.equal(ended.data.restarted, true);
      assert.equal((await run(bench, code.keep[1])).status, "error");
      await run(bench, code.keep[0]);
      assert.equal((await run(bench, code.keep[1], { restart: true })).status, "error");
    });

    test(`${name}: images are kept as data`, async () => {
      verifies("D4");
      await using bench = await openToolBench(provider);
      for (const text of [code.image, code.display, code.blob]) {
        const shown = await run(bench, text);
        const [image] = shown.data.images;
        assert.deepEqual([image?.mime, image?.size], ["image/png", Buffer.from(PNG, "base64").length], shown.output);
        const chunks = await Array.fromAsync(bench.blobs.get(image?.digest ?? ""));
        assert.deepEqual(Buffer.concat(chunks), Buffer.from(PNG, "base64"));
      }
    });

    test(`${name}: floods and huge values are bounded; input is at its end`, { timeout: 60_000 }, async () => {
      await using bench = await openToolBench(provider);
      const flood = await run(bench, code.flood);
      assert.equal(flood.status, "ok", flood.output.slice(0, 500));
      assert.ok(flood.output.length < 20_000);
      assert.ok(Number(flood.fullOutput?.size) >= 8_000_000);
      const huge = await run(bench, code.huge);
      assert.ok(huge.output.length < 25_000);
      if (name === "python") assert.match((await run(bench, code.input[0])).output, code.input[1]);
      if (code.stubborn === "") return;
      const stubborn = await run(bench, code.stubborn, { timeout_s: 0.5 });
      assert.match(stubborn.output, /was ended; the next call gets a fresh one/);
      assert.equal((await run(bench, code.text[0])).output, code.text[1]);
    });
  }

  test("a missing interpreter is told", async () => {
    await using bench = await openToolBench(provider);
    const { createPythonTool } = await import("@guildhall/agent");
    bench.tools.remove("python");
    bench.tools.add(createPythonTool({ python: "/nowhere/python9" }));
    const result = await bench.call("python", { code: "1" });
    assert.equal(result.status, "error");
    assert.match(result.output, /no such interpreter in the sandbox.*\/nowhere\/python9/);
  });

  test("a module of the workspace can be imported", async () => {
    await using bench = await openToolBench(provider);
    await writeFile(join(bench.workspace, "mine.py"), "value = 5\n");
    await writeFile(join(bench.workspace, "mine.mjs"), "export const value = 5;\n");
    assert.equal((await bench.call("python", { code: "import mine; mine.value" })).output, "5");
    assert.equal((await bench.call("node", { code: 'import { value as v } from "./mine.mjs"\nv' })).output, "5");
  });
});
