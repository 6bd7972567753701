import assert from "node:assert/strict";
import { test } from "node:test";
import { inflateSync } from "node:zlib";

import type { ToolResult } from "@guildhall/core";

import { verifies } from "../verifies.ts";
import { describeInProviders } from "./providers.ts";
import { openToolBench, type ToolBench } from "./tool-bench.ts";

/** A window of a browser without its frame: red, green once it is clicked, its title the last key. */
const PROGRAM = `exec /usr/lib/chromium/chromium --no-sandbox --disable-gpu --no-first-run --user-data-dir=/tmp/desktop --window-size=800,600 --window-position=0,0 \
'--app=data:text/html,<title>Colours</title><body style="background:red" onclick="document.body.style.background=\`lime\`" onkeydown="document.title=event.key">'`;

await describeInProviders("desktop", (provider) => {
  const see = (bench: ToolBench, args: object): Promise<ToolResult> => bench.call("desktop", args);

  test("a program on a virtual display is started, seen, clicked and typed to", { timeout: 180_000 }, async () => {
    verifies("D9");
    await using bench = await openToolBench(provider);
    const before = await see(bench, { command: "screenshot" });
    assert.match(before.output, /there is no virtual display yet/);
    if (provider.name === "host") {
      assert.match((await see(bench, { command: "start", program: "true" })).output, /no virtual display without isolation/);
      return;
    }
    let last = await see(bench, { command: "start", program: PROGRAM, size: "1024x768" });
    assert.equal(last.status, "ok", last.output);
    const until = async (colour: number[]): Promise<void> => {
      // A browser's first picture takes long where everything runs at the same time.
      for (const end = Date.now() + 60_000; Date.now() < end;) {
        if (JSON.stringify(await pixel(bench, last, 200, 400)) === JSON.stringify(colour)) return;
        last = await see(bench, { command: "screenshot" });
      }
      assert.fail(`not ${colour.join()}: ${last.output}`);
    };
    await until([255, 0, 0]);
    assert.deepEqual((last.data as { width: number; height: number }).width, 1024);
    last = await see(bench, { command: "click", x: 300, y: 300 });
    await until([0, 255, 0]);
    await see(bench, { command: "press", text: "b" });
    assert.match((await see(bench, { command: "windows" })).output, /^"b" at /);
    assert.match((await see(bench, { command: "press", text: "no such; key" })).output, /is no key/);
    const ended = await see(bench, { command: "start", program: "echo some words; exit 3" });
    assert.match(ended.output, /echo some words; exit 3: ended, exit code 3\n {2}some words/);
    assert.equal((await see(bench, { command: "stop" })).status, "ok");
    assert.doesNotMatch((await bench.bash("ps ax")).output, /Xvfb|chromium/);
  });
});

/** Colour of a pixel of a result's picture, whose rows are unfiltered. */
async function pixel(bench: ToolBench, result: ToolResult, x: number, y: number): Promise<number[]> {
  const [image] = result.images ?? [];
  assert.ok(image, result.output);
  const chunks: Uint8Array[] = [];
  for await (const chunk of bench.blobs.get(image.digest)) chunks.push(chunk);
  const png = Buffer.concat(chunks);
  assert.equal(png.subarray(1, 4).toString(), "PNG");
  const width = png.readUInt32BE(16);
  const rows = inflateSync(png.subarray(41, 41 + png.readUInt32BE(33)));
  const at = y * (width * 3 + 1) + 1 + x * 3;
  return [...rows.subarray(at, at + 3)];
}
