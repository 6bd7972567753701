import assert from "node:assert/strict";
import { test } from "node:test";

import type { SandboxProvider } from "@guildhall/core";

import { verifies } from "../verifies.ts";
import { type BashCase, hardCases, interactiveCases, ordinaryCases } from "./bash-cases.ts";
import { describeInProviders } from "./providers.ts";
import { openToolBench } from "./tool-bench.ts";

await describeInProviders("bash", (provider) => {
  for (const { name, steps } of [...ordinaryCases, ...interactiveCases, ...hardCases]) {
    test(name, { timeout: 30_000 }, async () => {
      verifies("D7");
      await runCase(provider, steps);
    });
  }
});

async function runCase(provider: SandboxProvider, steps: BashCase["steps"]): Promise<void> {
  await using bench = await openToolBench(provider);
  for (const { call, output, status, data } of steps) {
    const result = await bench.bash(call);
    const shown = `${JSON.stringify(call)} → ${JSON.stringify(result)}`;
    if (typeof output === "string") assert.equal(result.output.replace(/\[[^\n]*\]$/, ""), output, shown);
    else if (output !== undefined) assert.match(result.output, output, shown);
    if (status !== undefined) assert.equal(result.status, status, shown);
    for (const [key, value] of Object.entries(data ?? {})) {
      assert.equal(result.data[key as keyof typeof result.data], value, `${key}: ${shown}`);
    }
  }
}
