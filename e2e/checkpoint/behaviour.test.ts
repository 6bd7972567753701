import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";

import { GuildError, type SandboxFiles } from "@guildhall/core";
import { createCheckpointer } from "@guildhall/sandbox";

import { openWorkbench, type Workbench } from "./workbench.ts";

for (const provider of ["host", "bubblewrap"]) {
  describe(`checkpoints in ${provider}`, () => {
    const check = (name: string, body: (bench: Workbench) => Promise<void>): void => {
      it(name, async () => {
        await using bench = await openWorkbench(provider);
        await body(bench);
      });
    };

    check("see what commands in the sandbox did, and what was done outside", async (bench) => {
      write(bench, "src/a.c", "int a;\n");
      const first = await bench.checkpointer.capture();
      await bench.run(
        "mkdir -p build/obj/deep && echo x > build/obj/deep/a.o && mv src/a.c src/b.c && ln -s ../src/b.c build/link && chmod +x src/b.c",
      );
      write(bench, "outside", "1");
      const { tree } = await bench.checkpointer.capture();
      assert.equal(tree, bench.gitTree());
      const changes = await bench.checkpointer.restore(first.tree);
      assert.deepEqual(
        changes.map(({ path }) => path),
        ["build/link", "build/obj/deep/a.o", "outside", "src/a.c", "src/b.c"],
      );
      assert.equal(bench.gitTree(), first.tree);
      assert.deepEqual(readdirSync(bench.workspace), ["src"]);
      await bench.checkpointer.restore(tree);
      assert.equal(bench.gitTree(), tree);
    });

    check("hold a file that a command made in a directory of its own, however fast", async (bench) => {
      await bench.checkpointer.capture();
      for (let round = 0; round < 5; round++) {
        const run = bench.run(
          `for i in 1 2 3 4 5 6 7 8; do mkdir -p d${round}/$i/x/y && echo $i > d${round}/$i/x/y/f; mv d${round}/$i d${round}/m$i; done`,
        );
        while (!(await settled(run))) await bench.checkpointer.capture();
        await run;
        assert.equal((await bench.checkpointer.capture()).tree, bench.gitTree(), `round ${round}`);
      }
    });

    check("leave ignored directories and large files out and say so; keep small ignored files, and lose none of them", async (bench) => {
      write(bench, ".gitignore", "node_modules/\n*.log\n.env\n");
      write(bench, ".env", "SECRET=1\n");
      write(bench, "node_modules/pkg/index.js", "1");
      write(bench, "big.log", "x".repeat(300 * 1024));
      write(bench, "huge.bin", "");
      truncateSync(join(bench.workspace, "huge.bin"), 65 * 1024 * 1024);
      write(bench, "main.js", "1");
      const { tree, omitted } = await bench.checkpointer.capture();
      assert.equal(
        omitted,
        "files over the size limit: huge.bin; ignored directories: node_modules; ignored files over the size limit: big.log",
      );
      rmSync(join(bench.workspace, ".env"));
      write(bench, "node_modules/pkg/index.js", "2");
      write(bench, "big.log", "y".repeat(300 * 1024));
      write(bench, "fresh.log", "written since");
      write(bench, "main.js", "2");
      await bench.checkpointer.capture();
      assert.deepEqual(await bench.checkpointer.restore(tree), [
        { path: ".env", change: "added" },
        { path: "main.js", change: "modified" },
      ]);
      assert.equal(read(bench, ".env"), "SECRET=1\n");
      assert.equal(read(bench, "node_modules/pkg/index.js"), "2");
      assert.equal(read(bench, "big.log"), "y".repeat(300 * 1024));
      assert.equal(read(bench, "fresh.log"), "written since");
      assert.ok(existsSync(join(bench.workspace, "huge.bin")));
    });

    check("hold tracked files that rules ignore, and nothing else beside them", async (bench) => {
      git(bench, "init", "-q");
      write(bench, ".gitignore", "vendor/\n*.gen\n");
      write(bench, "vendor/kept/tracked.js", "1");
      write(bench, "vendor/untracked.js", "1");
      write(bench, "large.gen", "g".repeat(300 * 1024));
      git(bench, "add", "-f", ".gitignore", "vendor/kept/tracked.js", "large.gen");
      const { tree } = await bench.checkpointer.capture();
      assert.equal(tree, git(bench, "write-tree").trim());
      write(bench, "vendor/kept/tracked.js", "2");
      write(bench, "vendor/kept/other.js", "2");
      write(bench, "large.gen", "changed");
      await bench.checkpointer.restore(tree);
      assert.equal(read(bench, "vendor/kept/tracked.js"), "1");
      assert.equal(read(bench, "large.gen").length, 300 * 1024);
      assert.equal(read(bench, "vendor/kept/other.js"), "2");
      await bench.reopen();
      assert.equal((await bench.checkpointer.capture()).tree, tree);
    });

    check("rename what is in the way and no checkpoint holds, and refuse where that cannot be done", async (bench) => {
      write(bench, "grown", "small");
      write(bench, "was-file", "1");
      const { tree } = await bench.checkpointer.capture();
      truncateSync(join(bench.workspace, "grown"), 65 * 1024 * 1024);
      await bench.checkpointer.restore(tree);
      assert.equal(read(bench, "grown"), "small");
      assert.equal(statSync(join(bench.workspace, "grown.kept-1")).size, 65 * 1024 * 1024);

      rmSync(join(bench.workspace, "was-file"));
      write(bench, "was-file/data/precious", "p");
      write(bench, ".gitignore", "data/\n");
      write(bench, "grown", "changed");
      await assert.rejects(
        bench.checkpointer.restore(tree),
        (error) => GuildError.is(error, "failed_precondition") && /was-file\/data\/precious/.test(error.line),
      );
      assert.equal(read(bench, "was-file/data/precious"), "p");
      assert.equal(read(bench, "grown"), "changed", "nothing was begun");
    });

    check("keep files that were ignored at the time of the tree and are not now", async (bench) => {
      write(bench, ".gitignore", "data/\n");
      write(bench, "data/mine", "1");
      const { tree } = await bench.checkpointer.capture();
      write(bench, ".gitignore", "");
      const later = (await bench.checkpointer.capture()).tree;
      assert.deepEqual(await bench.checkpointer.diff(tree, later), [
        { path: ".gitignore", change: "modified" },
        { path: "data/mine", change: "added" },
      ]);
      await bench.checkpointer.restore(tree);
      assert.equal(read(bench, "data/mine"), "1");
    });

    check("write a hard link's names apart again", async (bench) => {
      write(bench, "a", "a");
      write(bench, "b", "b");
      const { tree } = await bench.checkpointer.capture();
      rmSync(join(bench.workspace, "b"));
      linkSync(join(bench.workspace, "a"), join(bench.workspace, "b"));
      write(bench, "b", "both");
      const linked = (await bench.checkpointer.capture()).tree;
      assert.equal(linked, bench.gitTree());
      await bench.checkpointer.restore(tree);
      assert.deepEqual([read(bench, "a"), read(bench, "b")], ["a", "b"]);
    });

    check("follow no link that leads out, neither reading nor writing", async (bench) => {
      const outside = join(dirname(bench.workspace), "outside");
      mkdirSync(outside);
      chmodSync(outside, 0o777);
      writeFileSync(join(outside, "file"), "outside");
      write(bench, "dir/file", "inside");
      const { tree } = await bench.checkpointer.capture();
      rmSync(join(bench.workspace, "dir"), { recursive: true });
      symlinkSync(outside, join(bench.workspace, "dir"));
      const { tree: linked, changedFiles } = await bench.checkpointer.capture();
      assert.equal(changedFiles, 2);
      await bench.checkpointer.restore(tree);
      assert.equal(readFileSync(join(outside, "file"), "utf8"), "outside");
      assert.equal(read(bench, "dir/file"), "inside");
      await bench.checkpointer.restore(linked);
      assert.ok(lstatSync(join(bench.workspace, "dir")).isSymbolicLink());
      assert.equal(readFileSync(join(outside, "file"), "utf8"), "outside");
    });

    check("know in a later session what changed meanwhile, even of the same size and time", async (bench) => {
      for (let file = 0; file < 50; file++) write(bench, `d${file % 5}/f${file}`, `${file}`.padStart(4));
      await bench.checkpointer.capture();
      await bench.reopen();
      const { atimeMs, mtimeMs } = statSync(join(bench.workspace, "d1/f1"));
      write(bench, "d1/f1", "same".padStart(4));
      utimesSync(join(bench.workspace, "d1/f1"), atimeMs / 1000, mtimeMs / 1000);
      renameSync(join(bench.workspace, "d2"), join(bench.workspace, "moved"));
      mkdirSync(join(bench.workspace, "empty"));
      const { tree } = await bench.checkpointer.capture();
      assert.equal(tree, bench.gitTree());
      write(bench, "moved/f2", "later");
      write(bench, "empty/no-longer", "1");
      assert.equal((await bench.checkpointer.capture()).tree, bench.gitTree());
    });

    check("go on after a crash, and find again what was collected or lost", async (bench) => {
      write(bench, "a", "1");
      const first = (await bench.checkpointer.capture()).tree;
      write(bench, "a", "2");
      await bench.checkpointer.capture();
      await bench.reopen("crashed");
      write(bench, "b", "1");
      const { tree } = await bench.checkpointer.capture();
      assert.equal(tree, bench.gitTree());
      await bench.store.collect([]);
      assert.equal(await bench.store.has(first), false);
      const again = await bench.checkpointer.capture();
      assert.equal(again.tree, tree);
      assert.equal(await bench.store.has(tree), true);
      await bench.checkpointer.restore(tree);
      assert.deepEqual(await bench.checkpointer.diff(tree, again.tree), []);
    });

    check("can be restored again after a restore was cut short at any point", async (bench) => {
      for (const path of ["a", "b", "dir/c", "dir/deep/d", "run"]) write(bench, path, `${path} one`);
      chmodSync(join(bench.workspace, "run"), 0o755);
      const { tree } = await bench.checkpointer.capture();
      const change = (round: number): void => {
        rmSync(join(bench.workspace, "dir"), { recursive: true, force: true });
        for (const path of ["a", "dir", "new/e", "new/f"]) write(bench, path, `${path} ${round}`);
        chmodSync(join(bench.workspace, "run"), 0o644);
      };
      let finished = false;
      for (let left = 0; !finished; left++) {
        change(left);
        const cut = createCheckpointer({
          sandbox: {
            ...bench.sandbox,
            workspace: bench.workspace,
            changes: bench.sandbox.changes,
            files: cutAfter(bench.sandbox.files, left),
          },
          store: bench.store,
          stateDir: join(dirname(bench.workspace), "state"),
        });
        try {
          await cut.restore(tree);
          finished = true;
        } catch (error) {
          assert.match(String(error), /cut short/);
        }
        await bench.reopen("crashed");
        await bench.checkpointer.restore(tree);
        assert.equal(bench.gitTree(), tree, `after ${left} changes`);
      }
    });

    check("report what cannot be read and go on", async (bench) => {
      write(bench, "good", "1");
      await bench.run("mkfifo pipe; echo secret > locked; chmod 000 locked; mkdir shut; echo x > shut/x; chmod 000 shut");
      const { omitted } = await bench.checkpointer.capture();
      assert.match(omitted, /neither file, directory nor link: pipe/);
      // Root on the host may read everything.
      if (provider === "bubblewrap" || process.getuid?.() !== 0) assert.match(omitted, /unreadable: locked, shut/);
      await bench.run("chmod 700 shut locked");
    });
  });
}

/** Fails when more than so many changes are asked for. */
function cutAfter(files: SandboxFiles, changes: number): SandboxFiles {
  let left = changes;
  return new Proxy(files, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      if (!["write", "remove", "symlink", "chmod", "mkdir", "rename"].includes(String(name))) return value.bind(target);
      return (...args: unknown[]) => {
        if (left-- <= 0) throw new GuildError("unavailable", "cut short");
        return Reflect.apply(value, target, args) as unknown;
      };
    },
  });
}

function write(bench: Workbench, path: string, content: string): void {
  mkdirSync(dirname(join(bench.workspace, path)), { recursive: true });
  writeFileSync(join(bench.workspace, path), content);
}

function read(bench: Workbench, path: string): string {
  return readFileSync(join(bench.workspace, path), "utf8");
}

function git(bench: Workbench, ...args: string[]): string {
  const env = { PATH: "/usr/bin:/bin", HOME: dirname(bench.workspace), GIT_CONFIG_NOSYSTEM: "1" };
  return execFileSync("git", args, { cwd: bench.workspace, env, encoding: "utf8" });
}

async function settled(promise: Promise<unknown>): Promise<boolean> {
  const open = Symbol("open");
  return (await Promise.race([promise, new Promise((resolve) => setTimeout(resolve, 1, open))])) !== open;
}
