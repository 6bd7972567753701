/**
 * `npm run bench [-- NAME…]`: runs the benchmarks, one process each, and prints their tables. Nothing is asserted: machines are shared and noisy.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";

const all = [
  "steps",
  "storage",
  "sandbox",
  "checkpoint",
  "scheduler",
  "services",
  "waiting",
  "network",
  "masking",
  "code",
  "tools",
  "foreign-tools",
  "context",
  "environment",
  "knowledge/retrieval",
  "knowledge/collections",
  "knowledge/local",
  "knowledge/global",
  "knowledge/co-change",
  "knowledge/use",
];
// A folder stands for all in it: `npm run bench -- knowledge`.
const wanted =
  process.argv.length > 2
    ? process.argv.slice(2).flatMap((name) => {
        const within = all.filter((one) => one.startsWith(`${name}/`));
        return within.length > 0 ? within : [name];
      })
    : all;
for (const name of wanted) {
  const file = join(import.meta.dirname, `${name}.ts`);
  if (!existsSync(file)) {
    process.stderr.write(`bench: there is no benchmark ${name}; there are ${all.join(", ")}\n`);
    process.exit(2);
  }
  const child = spawn(process.execPath, [file], { stdio: "inherit" });
  const [code] = (await once(child, "exit")) as [number | null];
  if (code !== 0) process.exitCode = 1;
}
