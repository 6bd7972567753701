import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";

import { seededRandom } from "@guildhall/core/testing";

import { listing, randomEdits } from "./random-edits.ts";
import { openWorkbench } from "./workbench.ts";

/** No ignored file is covered: then a checkpoint and what `git add -A` takes are the same. */
const AS_GIT = { maxIgnoredFileBytes: -1 };

const ROUNDS = 25;

/** The first two, and those that once found something. */
const seeds =
  process.env["GUILD_TEST_FULL"] === undefined
    ? [1131489556, 655953581]
    : [
        11,
        12,
        4,
        6,
        608199781,
        1493108782,
        1131489556,
        655953581,
        1294256333,
        ...Array.from({ length: 6 }, () => Math.floor(Math.random() * 2 ** 31)),
      ];

describe("checkpoints of a workspace that changes at random", () => {
  for (const seed of seeds) {
    it(`have the ids that stock git gives, whatever came before (seed ${seed})`, async () => {
      await using bench = await openWorkbench("host", AS_GIT);
      const random = seededRandom(seed);
      const story: string[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        story.push(...randomEdits(bench.workspace, random, { ignoreRules: true }));
        if (random.chance(0.1)) {
          const how = random.pick(["closed", "crashed"] as const);
          story.push(how);
          await bench.reopen(how);
        }
        const { tree, omitted } = await bench.checkpointer.capture();
        story.push(`captured ${tree}`);
        const told = `seed ${seed}: ${story.slice(-25).join("; ")}`;
        assert.equal(tree, bench.gitTree(), told);
        if (random.chance(0.15)) {
          await bench.reopen("forgotten");
          const again = await bench.checkpointer.capture();
          assert.deepEqual([again.tree, again.omitted], [tree, omitted], `looked at everything anew; ${told}`);
        }
      }
    });

    it(`are what a restored workspace equals, and restoring says exactly what it changed (seed ${seed})`, async () => {
      await using bench = await openWorkbench("host");
      const random = seededRandom(seed);
      const story: string[] = [];
      const trees: string[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        story.push(...randomEdits(bench.workspace, random, { ignoreRules: false }));
        const present = (await bench.checkpointer.capture()).tree;
        trees.push(present);
        const wanted = random.pick(trees);
        const expected = await bench.checkpointer.diff(present, wanted);
        story.push(`restored ${wanted}`);
        const told = `seed ${seed}: ${story.slice(-25).join("; ")}`;
        assert.deepEqual(await bench.checkpointer.restore(wanted), expected, told);
        assert.equal(bench.gitTree(), wanted, told);
        assert.equal((await bench.checkpointer.capture()).tree, wanted, told);
        if (random.chance(0.1)) await bench.reopen(random.pick(["closed", "crashed"] as const));
      }
      await bench.store.collect(trees.slice(-3));
      for (const tree of trees.slice(-3)) await bench.checkpointer.restore(tree);
      await bench.store.settle();
      execFileSync("git", ["fsck", "--full", "--strict"], {
        env: { PATH: "/usr/bin:/bin", GIT_DIR: bench.storeDirectory },
        stdio: ["ignore", "pipe", "pipe"],
      });
    });

    it(`lose nothing that is ignored when one is restored (seed ${seed})`, async () => {
      await using bench = await openWorkbench("host", AS_GIT);
      const random = seededRandom(seed);
      const trees: string[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        randomEdits(bench.workspace, random, { ignoreRules: true });
        const present = (await bench.checkpointer.capture()).tree;
        const before = contents(bench.workspace);
        trees.push(present);
        const wanted = random.pick(trees);
        const covered = new Set(
          (await bench.checkpointer.diff("4b825dc642cb6eb9a060e54bf8d69288fbee4904", present)).map(({ path }) => path),
        );
        try {
          await bench.checkpointer.restore(wanted);
        } catch (error) {
          assert.match(String(error), /would destroy what no checkpoint holds/, `seed ${seed}`);
          assert.deepEqual(contents(bench.workspace), before, `seed ${seed}: refused, but changed something`);
          continue;
        }
        const after = contents(bench.workspace);
        for (const [path, content] of before) {
          if (!covered.has(path))
            assert.equal(after.get(path), content, `seed ${seed}, round ${round}: ${path} was ignored and is not what it was`);
        }
        for (const { path } of await bench.checkpointer.diff("4b825dc642cb6eb9a060e54bf8d69288fbee4904", wanted)) {
          assert.ok(after.has(path), `seed ${seed}, round ${round}: ${path} is missing`);
        }
      }
    });
  }
});

function contents(workspace: string): Map<string, string> {
  return new Map(
    listing(workspace)
      .filter(({ kind }) => kind !== "directory")
      .map(({ path, kind }) => [
        path,
        kind === "symlink" ? readlinkSync(join(workspace, path)) : readFileSync(join(workspace, path), "latin1"),
      ]),
  );
}
