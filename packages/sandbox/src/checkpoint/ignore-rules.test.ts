import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";

import { seededRandom } from "@guildhall/core/testing";

import { IgnoreRules } from "./ignore-rules.ts";

describe("IgnoreRules", () => {
  for (const seed of [7, 1487477686, Math.floor(Math.random() * 2 ** 31)]) {
    it(`agrees with stock git on patterns and paths of every kind (seed ${seed})`, () => {
      const random = seededRandom(seed);
      const many = (least: number, most: number, make: () => string) =>
        Array.from({ length: least + random.below(most - least + 1) }, make).join("");
      const atoms = [
        "a",
        "b",
        "ab",
        "*",
        "**",
        "?",
        "[ab]",
        "[!a]",
        "[a-c]",
        "[[:alpha:]]",
        "[",
        "]",
        "\\*",
        "\\a",
        " ",
        ".",
        "ü",
        "-",
        "[]a]",
        "[a\\]b]",
      ];
      const pattern = () =>
        random.pick(["", "", "", "!", "/", "#", "\\#", "\\!"]) +
        random.pick([
          () => many(1, 3, () => random.pick(atoms)),
          () => many(1, 3, () => random.pick(atoms)) + "/" + many(1, 2, () => random.pick(atoms)),
          () => random.pick(["**/a", "a/**", "a/**/b", "**/b/*", "*/a"]),
        ])() +
        random.pick(["", "", "", "/", " ", "\\ ", "\r", "/ "]);
      const name = () => many(1, 3, () => random.pick(["a", "b", "c", "ü", ".", "*", "#", "!", " ", "]", "-"]));
      const safe = (text: string) => (/^\.+$/.test(text) ? "dots" : text);

      for (let round = 0; round < 25; round++) {
        const directory = mkdtempSync(join(tmpdir(), "guild-ignore-"));
        try {
          execFileSync("git", ["init", "-q", directory], { env: gitEnv(directory) });
          const files = Array.from({ length: 40 }, () => Array.from({ length: 1 + random.below(3) }, () => safe(name())).join("/"));
          const ignoreFiles = new Map([
            [".git/info/exclude", `${many(1, 3, () => `${pattern()}\n`)}`],
            [".gitignore", many(1, 6, () => `${pattern()}\n`)],
            ["a/.gitignore", many(1, 3, () => `${pattern()}\n`)],
          ]);
          for (const [path, text] of [...ignoreFiles, ...files.map((path): [string, string] => [path, ""])]) {
            try {
              mkdirSync(dirname(join(directory, path)), { recursive: true });
              writeFileSync(join(directory, path), text);
            } catch {
              // A path that is a directory already, or below a file.
            }
          }
          const rules = new IgnoreRules();
          rules.setExclude(Buffer.from(ignoreFiles.get(".git/info/exclude") ?? ""));
          rules.setDirectory("", Buffer.from(ignoreFiles.get(".gitignore") ?? ""));
          rules.setDirectory("a", Buffer.from(ignoreFiles.get("a/.gitignore") ?? ""));
          const all = execFileSync("find", [".", "-mindepth", "1", "-name", ".git", "-prune", "-o", "-printf", "%y %P\\0"], {
            cwd: directory,
            encoding: "utf8",
          });
          const entries = all
            .split("\0")
            .filter(Boolean)
            .map((line) => ({ directory: line.startsWith("d "), path: line.slice(2) }))
            .filter(({ path }) => path !== "");
          const asked = entries.map(({ path }) => path).join("\0");
          const told = spawnSync("git", ["check-ignore", "-z", "--stdin", "--no-index"], {
            cwd: directory,
            input: asked,
            env: gitEnv(directory),
            encoding: "utf8",
          });
          const ignored = new Set(
            told.stdout
              .split("\0")
              .filter(Boolean)
              .map((path) => path.replace(/\/$/, "")),
          );
          const isDirectory = new Map(entries.map((entry) => [entry.path, entry.directory]));
          for (const entry of entries) {
            const parts = entry.path.split("/");
            const ours = parts.some((_, index) => {
              const path = parts.slice(0, index + 1).join("/");
              return rules.ignores(path, isDirectory.get(path) ?? true);
            });
            assert.equal(ours, ignored.has(entry.path), JSON.stringify({ seed, round, entry, files: Object.fromEntries(ignoreFiles) }));
          }
        } finally {
          rmSync(directory, { recursive: true });
        }
      }
    });
  }

  it("is not slowed down by a hostile pattern", () => {
    const rules = new IgnoreRules();
    rules.setDirectory("", Buffer.from(`${"*a".repeat(60)}*b\n${"**/a/".repeat(60)}b\n${"(a+)+".repeat(20)}$\n`));
    assert.equal(rules.ignores("a".repeat(255), false), false);
    assert.equal(rules.ignores("a/".repeat(1000) + "c", false), false);
  });
});

function gitEnv(home: string): NodeJS.ProcessEnv {
  return { PATH: "/usr/bin:/bin", HOME: home, GIT_CONFIG_NOSYSTEM: "1" };
}
