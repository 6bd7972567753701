import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, open, rm, truncate } from "node:fs/promises";
import { dirname, join } from "node:path";
import { it } from "node:test";
import { promisify } from "node:util";

import { GuildError } from "../errors.ts";
import type { Sandboxes } from "./sandbox-fixture.ts";
import { failsWith, runScript, startScript } from "./sandbox-run.ts";

const MIB = 2 ** 20;

/** Limits: each one ends what goes beyond it, and says which it was. */
export function sandboxLimitsContract(sandboxes: Sandboxes): void {
  it("ends an execution with all its processes when its wall time is over", async () => {
    const sandbox = sandboxes.shared();
    const execution = await startScript(sandbox, "(setsid sleep 306 &); sleep 306", { limits: { wallSeconds: 0.3 } });
    const exit = await execution.exit;
    assert.deepEqual([exit.code, exit.signal, exit.limit], [undefined, "SIGKILL", "wall"]);
    await execution.close();
  });

  it("ends an execution when its CPU time is over, spread over processes or not", async () => {
    const sandbox = sandboxes.shared();
    const one = await runScript(sandbox, "while :; do :; done", { limits: { cpuSeconds: 0.3 } });
    assert.equal(one.exit.limit, "cpu");
    const many = await runScript(sandbox, "while :; do /bin/true; done", { limits: { cpuSeconds: 0.3 } });
    assert.equal(many.exit.limit, "cpu");
  });

  it("takes an execution's limits before the sandbox's", async () => {
    const sandbox = await sandboxes.fresh({ limits: { wallSeconds: 0.2 } });
    assert.equal((await runScript(sandbox, "sleep 307")).exit.limit, "wall");
    assert.equal((await runScript(sandbox, "sleep 0.4", { limits: { wallSeconds: 30 } })).exit.code, 0);
  });

  it("ends a process that writes a larger file than it may", async () => {
    const sandbox = sandboxes.shared();
    const done = await runScript(sandbox, "exec head -c 3000000 /dev/zero > large", { limits: { fileBytes: 1_000_000 } });
    assert.deepEqual([done.exit.signal, done.exit.limit], ["SIGXFSZ", "fileSize"]);
    assert.equal((await sandbox.files.stat("large")).size, 1_000_000);
  });

  it("ends what fills the disk with bytes or with files, and leaves room to clean up", async () => {
    const sandbox = await sandboxes.fresh({ limits: { diskBytes: 64 * 2 ** 20, diskFiles: 2000 } });
    const bytes = await runScript(sandbox, "exec head -c 3000000000 /dev/zero > large");
    assert.deepEqual([bytes.exit.signal, bytes.exit.limit], ["SIGKILL", "disk"]);
    assert.ok((await sandbox.files.stat("large")).size < 3_000_000_000);
    await assert.rejects(sandbox.files.write("more", Buffer.alloc(4096)), failsWith("storage_full"));
    assert.equal((await runScript(sandbox, "rm large; echo removed")).stdout, "removed\n");
    const files = await runScript(sandbox, "mkdir many; cd many; for ((i = 0; i < 200000; i++)); do : > $i; done");
    assert.equal(files.exit.limit, "disk");
    assert.equal((await runScript(sandbox, "rm -rf many; echo removed")).stdout, "removed\n");
  });

  it("counts what the sandbox holds of the disk, whatever others write and free there meanwhile", async () => {
    const sandbox = await sandboxes.fresh({ limits: { diskBytes: 64 * MIB } });
    const beside = await mkdtemp(join(dirname(sandbox.workspace), "others-"));
    const ballast = await open(join(beside, "ballast"), "w");
    try {
      const piece = Buffer.alloc(8 * MIB, "o");
      let held = 0;
      for (; held < 160 * MIB; held += piece.length) await ballast.write(piece);
      await ballast.sync();
      // Others take more than the whole limit: who writes little goes on.
      const little = await runScript(
        sandbox,
        "for i in 1 2 3 4 5 6 7 8 9; do head -c 100000 /dev/zero > small$i; sleep 0.05; done; echo done",
      );
      assert.deepEqual([little.stdout, little.exit.limit], ["done\n", undefined]);
      // Others free as much as is written, and more.
      const script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do head -c 8M /dev/zero > large$i; echo $i; sleep 0.1; done";
      const execution = await sandbox.exec({ argv: ["/run/guildhall/bin/bash", "-c", script] });
      for await (const { bytes } of execution.output) {
        held -= Buffer.from(bytes).toString().split("\n").length * 9 * MIB;
        await ballast.truncate(Math.max(0, held));
      }
      assert.equal((await execution.exit).limit, "disk");
    } finally {
      await ballast.close();
      await rm(beside, { recursive: true, force: true });
    }
  });

  it("counts files that have no name, whoever holds them and whatever others free meanwhile", async () => {
    const each = (what: string): string => `for ((i = 0; i < 40; i++)); do ${what}; echo $i; sleep 0.05; done`;
    const ways = {
      "by who wrote them": each("exec {fd}> none; rm none; head -c 4M /dev/zero >&$fd"),
      "by another than who wrote them, for whom nobody waits": each("exec {fd}> none; rm none; (setsid head -c 4M /dev/zero >&$fd &)"),
      "by one that nobody can look into": each(
        "(exec 7> none; exec ./keep 311) & while [ ! -e none ]; do sleep 0.01; done; head -c 4M /dev/zero > none; rm none",
      ).concat("; jobs -pr"),
    };
    const prepared = await Promise.all(
      Object.entries(ways).map(async ([held, script]) => {
        const sandbox = await sandboxes.fresh({ limits: { diskBytes: 24 * MIB } });
        return { held, script, sandbox };
      }),
    );
    const beside = await mkdtemp(join(dirname(prepared[0]?.sandbox.workspace ?? ""), "others-"));
    try {
      // More than all of them can write: once it is gone, what the file system tells is of no use.
      const ballast = join(beside, "ballast");
      await promisify(execFile)("fallocate", ["-l", String(520 * MIB), ballast]);
      await Promise.all(prepared.map(({ sandbox }) => runScript(sandbox, "cp /bin/sleep keep; chmod 111 keep")));
      await truncate(ballast);
      await Promise.all(
        prepared.map(async ({ held, script, sandbox }) => {
          const execution = await sandbox.exec({ argv: ["/run/guildhall/bin/bash", "-c", script] });
          let said = "";
          for await (const { bytes } of execution.output) said += Buffer.from(bytes).toString();
          // Whoever hides is ended, and what he held is free again: then there may be nothing to end the rest for.
          const hiding = said.split("\n39\n")[1]?.trim().split("\n").length ?? 40;
          if (hiding > 6) assert.equal((await execution.exit).limit, "disk", held);
        }),
      );
    } finally {
      await rm(beside, { recursive: true, force: true });
      await Promise.all(prepared.map(({ sandbox }) => sandbox.dispose()));
    }
  });

  it("refuses more open files than allowed", async () => {
    const done = await runScript(sandboxes.shared(), "ulimit -n", { limits: { openFiles: 40 } });
    assert.equal(done.stdout, "40\n");
  });

  it("ends a process that takes more memory than the sandbox has, and leaves the sandbox usable", async () => {
    const sandbox = await sandboxes.fresh({ limits: { memoryBytes: 100 * 2 ** 20 } });
    // Doubles a string until the end; either the kernel or the init kills it, or it fails for want of memory.
    const done = await runScript(sandbox, "s=0123456789abcdef; while :; do s=$s$s; done", { limits: { wallSeconds: 60 } });
    assert.notEqual(done.exit.code, 0);
    assert.notEqual(done.exit.limit, "wall");
    assert.ok(done.exit.limit === "memory" || done.stderr.includes("allocate"), JSON.stringify(done));
    assert.equal((await runScript(sandbox, "echo usable")).stdout, "usable\n");
  });

  it("lets no execution start more processes than the sandbox may have", async () => {
    const sandbox = await sandboxes.fresh({ limits: { processes: 20 } }).catch((error: unknown) => {
      if (GuildError.is(error, "unsupported")) return undefined; // said so, which is as good
      throw error;
    });
    if (sandbox === undefined) return;
    const script = "for i in $(seq 60); do sleep 308 & done; wait";
    const execution = await sandbox.exec({ argv: ["/bin/sh", "-c", script], limits: { wallSeconds: 20 } });
    await execution.exit;
    const usage = await sandbox.usage();
    assert.ok(usage.processes <= 24, `${usage.processes} processes`);
    await execution.close();
    assert.equal((await runScript(sandbox, "echo usable")).stdout, "usable\n");
  });

  it("refuses limits that it cannot enforce instead of ignoring them", async () => {
    const { provider } = sandboxes.fixture();
    const workspace = await sandboxes.fixture().newWorkspace();
    const report = await provider.probe();
    const spec = { id: `cpus-${process.pid}`, workspace, limits: { cpus: 0.5 } };
    if (report.capabilities.some((one) => one.name === "cgroup-cpu" && one.available)) {
      const sandbox = await provider.create(spec);
      const started = process.hrtime.bigint();
      const done = await runScript(sandbox, "while ((SECONDS < 2)); do :; done; exit 0");
      const wallMs = Number(process.hrtime.bigint() - started) / 1e6;
      assert.ok(done.exit.cpuMs < wallMs * 0.8, `${done.exit.cpuMs} ms of ${wallMs}`);
      await sandbox.dispose();
    } else await assert.rejects(provider.create(spec), failsWith("unsupported"));
  });
}
