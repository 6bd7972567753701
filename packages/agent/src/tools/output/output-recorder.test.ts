import assert from "node:assert/strict";
import { test } from "node:test";

import { type BlobStore, createMasker, GuildError } from "@guildhall/core";
import { MemoryBlobStore } from "@guildhall/core/testing";

import { OutputRecorder } from "./output-recorder.ts";
import { storedOutputPath, viewStoredOutput } from "./stored-output.ts";

const line = (number: number): string => `line ${number}\n`;

async function textOf(blobs: BlobStore, digest: string): Promise<string> {
  const pieces: Uint8Array[] = [];
  for await (const bytes of blobs.get(digest)) pieces.push(bytes);
  return Buffer.concat(pieces).toString();
}

test("a short output is whole and touches no store", async () => {
  const blobs = new MemoryBlobStore();
  const recorder = new OutputRecorder({ blobs });
  await recorder.write(Buffer.from("x".repeat(16_000)));
  const taken = await recorder.take(true);
  assert.deepEqual([taken.text.length, taken.truncated, taken.bytes], [16_000, false, 16_000]);
  assert.deepEqual(await Array.fromAsync(blobs.list()), []);
});

test("of a long output head and tail are shown, whole lines of them, and the count of what is missing is right", async () => {
  const blobs = new MemoryBlobStore();
  const recorder = new OutputRecorder({ blobs });
  let whole = "";
  for (let number = 1; number <= 5000; number += 1) {
    whole += line(number);
    await recorder.write(Buffer.from(line(number)));
  }
  const { text, fullOutput, truncated, bytes } = await recorder.take(true);
  assert.ok(truncated && fullOutput !== undefined && bytes === whole.length);
  assert.equal(await textOf(blobs, fullOutput.digest), whole);
  const [head = "", tail = ""] = text.split(/\[… [^\n]*\n/);
  assert.ok(whole.startsWith(head) && head.endsWith("\n"));
  assert.ok(whole.endsWith(tail) && tail.startsWith("line "));
  assert.match(text, new RegExp(`${(whole.length - head.length - tail.length).toLocaleString("en")} characters left out`));
  const view = await viewStoredOutput(blobs, storedOutputPath(fullOutput.digest), [2500, 2501]);
  assert.match(view.output, /^2500\tline 2500\n2501\tline 2501\n/);
  await assert.rejects(viewStoredOutput(blobs, storedOutputPath(fullOutput.digest), [6000, 6001]), (error) =>
    GuildError.is(error, "invalid_argument"),
  );
});

test("no character is cut in two", async () => {
  const recorder = new OutputRecorder({ blobs: new MemoryBlobStore() });
  await recorder.write(Buffer.from(`x${"👍".repeat(20_000)}`));
  assert.ok((await recorder.take(true)).text.isWellFormed());
});

test("a store that is full does not end the command", async () => {
  const full: BlobStore = Object.assign(new MemoryBlobStore(), {
    put: async () => {
      throw new GuildError("storage_full", "no space left", { subject: "disk" });
    },
  });
  const recorder = new OutputRecorder({ blobs: full });
  for (let round = 0; round < 100; round += 1) await recorder.write(Buffer.from("y".repeat(10_000)));
  const { text, fullOutput } = await recorder.take(true);
  assert.equal(fullOutput, undefined);
  assert.match(text, /the whole could not be kept: no space left/);
});

test("a slow store slows the process down instead of filling memory", async () => {
  const gate = Promise.withResolvers<void>();
  const slow: BlobStore = Object.assign(new MemoryBlobStore(), {
    put: async (source: AsyncIterable<Uint8Array>) => {
      await gate.promise;
      let size = 0n;
      for await (const bytes of source) size += BigInt(bytes.length);
      return { digest: `sha256:${"0".repeat(64)}`, size, mediaType: "" };
    },
  });
  const recorder = new OutputRecorder({ blobs: slow });
  let written = 0;
  const writing = (async () => {
    for (; written < 200; written += 1) await recorder.write(Buffer.from(`${"z".repeat(9_999)}\n`));
  })();
  await new Promise((resolve) => setImmediate(resolve));
  assert.ok(written < 50, `${written} pieces held`);
  gate.resolve();
  await writing;
  assert.equal((await recorder.take(true)).fullOutput?.size, 2_000_000n);
});

test("a secret in two pieces, over two calls even, is masked", async () => {
  const recorder = new OutputRecorder({ blobs: new MemoryBlobStore(), masker: createMasker(["top-secret-value"]) });
  await recorder.write(Buffer.from("it is top-sec"));
  const first = await recorder.take(false);
  await recorder.write(Buffer.from("ret-value!\n"));
  const second = await recorder.take(true);
  assert.deepEqual([first.text, second.text], ["it is ", "***!\n"]);
});

test("bytes left over from one command do not spoil the next", async () => {
  const recorder = new OutputRecorder({ blobs: new MemoryBlobStore() });
  await recorder.write(Uint8Array.of(0x61, 0xe6, 0x97));
  assert.equal((await recorder.take(true)).text, "a\ufffd");
  await recorder.write(Buffer.from("b\n"));
  assert.equal((await recorder.take(true)).text, "b\n");
});
