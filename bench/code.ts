import { createCodeStructure } from "@guildhall/code";

import { percentile, table } from "./table.ts";

const ROUNDS = 7;
const structure = createCodeStructure();

/** A module of about 400 kB in the given language, of one function again and again. */
const samples: Array<{ language: string; unit: (index: number) => string; pattern: string; replacement: string }> = [
  {
    language: "typescript",
    unit: (index) =>
      `export async function step${index}(input: readonly string[], limit = ${index}): Promise<number> {\n  for (const one of input) {\n    if (one.length > limit) log(one, "is too long");\n  }\n  return input.length;\n}\n\n`,
    pattern: "log($A, $$$REST)",
    replacement: "logger.warn($A, $$$REST)",
  },
  {
    language: "python",
    unit: (index) =>
      `def step${index}(values, limit=${index}):\n    for one in values:\n        if len(one) > limit:\n            log(one, "is too long")\n    return len(values)\n\n`,
    pattern: "log($A, $$$REST)",
    replacement: "logger.warn($A, $$$REST)",
  },
];

for (const { language, unit, pattern, replacement } of samples) {
  const text = Array.from({ length: 2_000 }, (_, index) => unit(index)).join("");
  const megabytes = Buffer.byteLength(text) / 1e6;
  const rates = { search: [] as number[], rewrite: [] as number[] };
  for (let round = 0; round < ROUNDS; round += 1) {
    let start = performance.now();
    const found = await structure.search(language, text, pattern);
    rates.search.push(megabytes / ((performance.now() - start) / 1000));
    start = performance.now();
    const edits = await structure.rewrite(language, text, pattern, replacement);
    rates.rewrite.push(megabytes / ((performance.now() - start) / 1000));
    if (found.length !== 2_000 || edits.length !== 2_000) throw new Error(`${found.length} matches, ${edits.length} edits`);
  }
  const figures = Object.entries(rates).map(([name, values]) => ({ name: `${name} p50`, value: percentile(values, 50), unit: "MB/s" }));
  console.log(table(`Structure: ${language}, ${megabytes.toFixed(1)} MB, 2,000 matches`, figures));
}
