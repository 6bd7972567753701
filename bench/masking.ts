import { createMasker, type Masker } from "@guildhall/core";
import { createSecretScanner } from "@guildhall/core/secret-scan";

import { type Figure, percentile, table } from "./table.ts";

/** Masking of 64 KiB of source code and of a log: known secrets, unknown ones, both; whole and in pieces as a terminal gives them. */
const SIZE = 64 * 1024;
const ROUNDS = 300;

const secrets = Array.from({ length: 20 }, (_, index) => `secret-value-${index}-${"aB3/x+".repeat(5)}`);
const line = (index: number): string =>
  index % 3 === 0
    ? `  const session${index} = await openSession({ token: this.token, key: options.key, path: "/v1/items/${index}" });\n`
    : `2026-01-01T00:00:${index % 60}Z INFO request ${index} GET https://api.example.com/v1/items?page=${index} 200 ${index * 7} ms\n`;
const text = Array.from({ length: 1200 }, (_, index) => line(index))
  .join("")
  .slice(0, SIZE);
const found = text.slice(0, -200) + secrets[7] + text.slice(-200);

const shaped = createSecretScanner({ rules: "shaped" });
const all = createSecretScanner();
const none = createMasker();
const known = createMasker(secrets);
const both = createMasker(secrets, { scanner: shaped });

const figures: Figure[] = [
  time("nothing to mask by (fast path)", (input) => none.mask(input)),
  time("20 known secrets and their encodings", (input) => known.mask(input)),
  time("unknown secrets, shaped", (input) => shaped.redact(input)),
  time("unknown secrets, all rules", (input) => all.redact(input)),
  time("what a session does: 20 known, shaped", (input) => both.mask(input), "≤ 1 ms"),
  time("the same in pieces of 4 KiB", (input) => inPieces(both, input), "≤ 1 ms"),
];
const session = figures[4]?.value ?? Number.NaN;
figures.push({ name: "the same, throughput", value: SIZE / 1e6 / (session / 1e3), unit: "MB/s" });
figures.push({ name: "of a step with 4 KiB of output", value: session / 16, unit: "ms" });
process.stdout.write(table("Masking 64 KiB", figures));

function time(name: string, work: (input: string) => unknown, goal?: string): Figure {
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const input = round % 2 === 0 ? text : found;
    const began = performance.now();
    work(input);
    if (round >= ROUNDS / 3) times.push(performance.now() - began);
  }
  return { name, value: percentile(times, 50), unit: "ms", ...(goal === undefined ? {} : { goal }) };
}

function inPieces(masker: Masker, input: string): void {
  const stream = masker.stream();
  for (let at = 0; at < input.length; at += 4096) stream.push(input.slice(at, at + 4096));
  stream.end();
}
