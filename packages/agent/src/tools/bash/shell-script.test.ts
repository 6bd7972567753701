import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";

import { seededRandom } from "@guildhall/core/testing";

import { commandLines, ReportReader, setUpLines } from "./shell-script.ts";

/** What bash makes of the lines when `eval` only shows its argument. */
function received(lines: string[]): string {
  const script = `builtin() { :; }; __gh_b() { :; }; __gh_e() { :; }; eval() { printf '%s' "$1"; }\n`;
  const shown = lines.join("").replaceAll("builtin eval", "eval");
  return spawnSync("bash", ["-c", script + shown], { encoding: "utf8" }).stdout;
}

test("a command reaches bash byte for byte, whatever is in it and however long it is", () => {
  const random = seededRandom(Number(process.env["SEED"] ?? Date.now() % 1_000_000));
  const pieces = ["a", " ", "'", '"', "\\", "$x", "`", "!", "\n", "\t", "\r", "\x03", "\x7f", "ü", "👍", "\\'", "$'", "#", "0", "\x1b"];
  for (let round = 0; round < 30; round += 1) {
    const command = Array.from({ length: random.below(60) }, () => random.pick(pieces)).join("");
    assert.equal(received(commandLines(1, command)), `${command}\n`, `seed ${random.seed}`);
  }
  const long = "echo 'üö\\!'\n".repeat(2000);
  assert.equal(received(commandLines(1, long)), `${long}\n`);
});

test("no line is longer than a terminal takes, or holds a control character", () => {
  for (const lines of [commandLines(1, "ü!'\n".repeat(5000)), setUpLines("word", "export X=\x01\n".repeat(1000))]) {
    for (const line of lines) {
      assert.ok(Buffer.byteLength(line) <= 4095);
      assert.match(line, /^[^\x00-\x1f\x7f]*\n$/);
    }
  }
});

test("reports come whole, in any pieces", () => {
  const bytes = Buffer.from('end\x007\x00130\x00/w/ü\x00declare -x A="1"\n\x00last\x008\x000\x00/\x00\x00');
  const reader = new ReportReader();
  const reports = Array.from(bytes, (byte) => reader.push(Uint8Array.of(byte))).flat();
  assert.deepEqual(reports, [
    { kind: "end", number: 7, status: 130, cwd: "/w/ü", exports: 'declare -x A="1"\n' },
    { kind: "last", number: 8, status: 0, cwd: "/", exports: "" },
  ]);
});
