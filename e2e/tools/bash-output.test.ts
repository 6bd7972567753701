import assert from "node:assert/strict";
import { test } from "node:test";

import { createMasker, GuildError } from "@guildhall/core";

import { verifies } from "../verifies.ts";
import { describeInProviders } from "./providers.ts";
import { openToolBench } from "./tool-bench.ts";

await describeInProviders("bash output", (provider) => {
  test("a long output keeps head and tail, and the whole can be read", async () => {
    verifies("D7");
    await using bench = await openToolBench(provider);
    const result = await bench.bash("seq 200000");
    assert.ok(result.output.startsWith("1\n2\n3\n"));
    assert.ok(result.output.includes("\n199999\n200000\n[exit code 0]"));
    assert.ok(result.output.length < 17_000);
    assert.equal(result.data.truncated, true);
    assert.ok(result.fullOutput);
    const whole: Uint8Array[] = [];
    for await (const bytes of bench.blobs.get(result.fullOutput.digest)) whole.push(bytes);
    assert.equal(Buffer.concat(whole).toString(), Array.from({ length: 200_000 }, (_, index) => `${index + 1}\n`).join(""));
    const path = /edit view with path (output:\S+)/.exec(result.output)?.[1];
    const middle = await bench.edit({ command: "view", path, view_range: [99_999, 100_001] });
    assert.match(middle.output, / 99999\t99999\n100000\t100000\n100001\t100001\n/);
    const missing = Number(/([\d,]+) characters left out/.exec(result.output)?.[1]?.replaceAll(",", ""));
    const shown = result.output.replace(/\[… [^\n]*\n/, "").replace("[exit code 0]", "");
    assert.equal(shown.length + missing, Number(result.fullOutput.size));
  });

  test("an endless output is bounded while it runs, and stops with Ctrl-C", { timeout: 30_000 }, async () => {
    verifies("D7");
    await using bench = await openToolBench(provider);
    const running = await bench.bash({ command: "yes endless", timeout_s: 0.5 });
    assert.equal(running.data.timed_out, true);
    assert.ok(running.output.length < 17_000);
    let stopped = await bench.bash({ input: "C-c", timeout_s: 10 });
    // It returns when nothing more is said for a moment, which may be before the shell has noticed.
    while (stopped.data.exit_code === null) stopped = await bench.bash({ input: "", timeout_s: 10 });
    assert.equal(stopped.data.exit_code, 130);
    assert.equal((await bench.bash("echo on")).output, "on\n[exit code 0]");
  });

  test("an output without any line end is bounded too", async () => {
    await using bench = await openToolBench(provider);
    const result = await bench.bash("head -c 300000 /dev/zero | tr '\\0' x");
    assert.equal(result.data.bytes, 300_000);
    assert.ok(result.output.length < 17_000);
    assert.equal(result.fullOutput?.size, 300_000n);
  });

  test("secrets are masked in output, in blobs and in what is watched, however they are cut", async () => {
    const secret = "s3cr3t-value/with+signs";
    await using bench = await openToolBench(provider, { masker: createMasker([secret]) });
    let watched = "";
    const print = `printf '%s' '${secret.slice(0, 9)}'; sleep 0.05; echo '${secret.slice(9)}'; printf '%s' '${secret}' | base64; seq 5000`;
    const result = await bench.call("bash", { command: print }, { progress: (text) => (watched += text) });
    let stored = "";
    for await (const bytes of bench.blobs.get(result.fullOutput?.digest ?? "")) stored += Buffer.from(bytes).toString();
    for (const text of [result.output, watched, stored]) {
      assert.ok(text.startsWith("***\n***"), text.slice(0, 100));
      assert.ok(!text.includes("signs") && !text.includes(Buffer.from(secret).toString("base64").slice(0, 12)));
    }
    assert.ok(stored.endsWith("\n5000\n") && watched.includes("\n5000\n"));
  });

  test("an aborted call ends the command and leaves a shell that works", { timeout: 30_000 }, async () => {
    await using bench = await openToolBench(provider);
    await bench.bash("x=kept");
    const gentle = AbortSignal.timeout(200);
    await assert.rejects(bench.call("bash", { command: "sleep 100" }, { signal: gentle }), (error) => GuildError.is(error, "cancelled"));
    assert.equal((await bench.bash("echo $x")).output, "kept\n[exit code 0]");
    const stubborn = bench.call("bash", { command: "trap '' INT; (trap '' INT; sleep 100)" }, { signal: AbortSignal.timeout(200) });
    await assert.rejects(stubborn, (error) => GuildError.is(error, "cancelled"));
    assert.equal((await bench.bash("echo fresh")).output, "fresh\n[exit code 0]");
  });

  test("nothing runs on when the session closes", async () => {
    verifies("D7");
    const bench = await openToolBench(provider);
    await bench.bash({ command: "sleep 4242", background: true, timeout_s: 0.05 });
    await bench.bash("setsid sleep 4242 & disown");
    assert.ok((await bench.sandbox.usage()).processes >= 2);
    await bench[Symbol.asyncDispose]();
    await bench.sandbox.gone;
  });

  test("what is watched comes while the command runs", async () => {
    await using bench = await openToolBench(provider);
    const seen = Promise.withResolvers<string>();
    const call = bench.call("bash", { command: "echo early; read x; echo got $x" }, { progress: (text) => seen.resolve(text) });
    assert.equal(await seen.promise, "early\n");
    const other = new AbortController();
    other.abort();
    await assert.rejects(bench.call("bash", { input: "x" }, { signal: other.signal }));
    await bench.sandbox.dispose();
    const ended = await call;
    assert.equal(ended.status, "error");
  });
});
