/** Which files go together, from commit history: each commit is asked about with one of its files and what was known at its parent. `HISTORY=<repository>` names another than this one. */
import { execFileSync } from "node:child_process";

import { CoChange, CodeGraph, parseHistory } from "@guildhall/knowledge";

import { table } from "../table.ts";

const repository = process.env["HISTORY"] ?? process.cwd();
function readContents(): Array<Map<string, string>> {
  const commits = git("log", "--reverse", "--no-merges", "--format=%H")
    .trim()
    .split("\n")
    .filter((hash) => git("show", "--name-only", "--format=", hash).trim() !== "");
  const asked = history.map(({ files }, at) => files.filter((path) => CodeGraph.reads(path)).map((path) => `${commits[at]}:${path}`));
  const output = execFileSync("git", ["-C", repository, "cat-file", "--batch"], { input: asked.flat().join("\n"), maxBuffer: 1 << 30 });
  let offset = 0;
  return asked.map((names) => {
    const files = new Map<string, string>();
    for (const name of names) {
      const end = output.indexOf(10, offset);
      const size = Number(/ blob (\d+)$/.exec(output.toString("utf8", offset, end))?.[1] ?? -1);
      if (size >= 0) files.set(name.slice(41), output.toString("utf8", end + 1, end + 1 + size));
      offset = end + 1 + (size >= 0 ? size + 1 : 0);
    }
    return files;
  });
}

const git = (...args: string[]) =>
  execFileSync("git", ["-C", repository, "-c", "core.quotePath=false", ...args], { maxBuffer: 1 << 30, encoding: "utf8" });
const history = parseHistory(git("log", "--reverse", "--no-merges", "--no-renames", "--name-only", "--format=%x00"));
const there = new Set<string>();
const graph = new CodeGraph();
const both = new CoChange({ graph });
/** What each commit left in its files of source: all in one call. */
const contents = readContents();
const recalls: Record<string, number[][]> = { "older half": [[], []], "newer half": [[], []], all: [[], []] };
/** Of the questions of each commit, the mean: one that changes twenty files asks no more than one that changes two. */
const commits: Record<string, number[]> = { "older half": [], "newer half": [], all: [] };
/** The other way round: whether a file is among the ten that are named when all others of its commit are given. */
const leftOut: number[] = [];
const times: number[] = [];
for (const [at, { files }] of history.entries()) {
  const known = files.filter((path) => there.has(path));
  if (known.length >= 2 && files.length <= 20) {
    const name = at * 2 < history.length ? "older half" : "newer half";
    const half = recalls[name] ?? [];
    const own: number[] = [];
    for (const seed of known) {
      const others = new Set(known.filter((path) => path !== seed));
      const began = performance.now();
      const found = both.companions([seed], 10, (path) => there.has(path));
      times.push(performance.now() - began);
      const last = both.companions([...others], 10, (path) => there.has(path));
      leftOut.push(last.some(({ path }) => path === seed) ? 1 : 0);
      const right = found.filter(({ path }) => others.has(path)).length;
      own.push(right / others.size);
      for (const asked of [half, recalls["all"] ?? []]) {
        asked[0]?.push(right / Math.min(10, others.size));
        asked[1]?.push(right / others.size);
      }
    }
    for (const asked of [commits[name], commits["all"]]) asked?.push(mean(own));
  }
  for (const path of files) there.add(path);
  both.add({ files });
  for (const [path, text] of contents[at] ?? []) graph.read(path, text);
}
function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
}
console.log(
  table(`Co-change: ${history.length} commits, each of their files asked about`, [
    ...Object.entries(commits).map(([name, values]) => ({
      name: `recall@10, ${name}, mean of ${values.length} commits`,
      value: mean(values),
      unit: "",
      goal: "≥ 0.35",
    })),
    ...Object.entries(recalls).flatMap(([name, [capped = [], plain = []]]) => [
      { name: `recall@10, ${name} (${plain.length} questions)`, value: mean(plain), unit: "", goal: "≥ 0.35" },
      { name: `of at most ten that could be found, ${name}`, value: mean(capped), unit: "" },
    ]),
    { name: "recall@10 of the one left out, all others given", value: mean(leftOut), unit: "" },
    { name: "an answer", value: mean(times), unit: "ms" },
  ]),
);
