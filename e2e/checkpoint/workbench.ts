import { execFileSync } from "node:child_process";
import { chmod, chown, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import type { Checkpointer, Sandbox, SandboxProvider } from "@guildhall/core";
import { createCheckpointer, createSandboxProvider, FileCheckpointStore, type CheckpointRules } from "@guildhall/sandbox";

/** A workspace with a sandbox, a store and a checkpointer, each of which a test may open anew. */
export interface Workbench {
  workspace: string;
  storeDirectory: string;
  store: FileCheckpointStore;
  sandbox: Sandbox;
  checkpointer: Checkpointer;
  /** Ends the session and begins another, with what the former left on disk; `forgotten`: without what was known of the workspace. */
  reopen(how?: "closed" | "crashed" | "forgotten"): Promise<void>;
  /** Id that stock git gives to the workspace's content. */
  gitTree(): string;
  /** Runs a command in the sandbox; throws when it fails. */
  run(command: string): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Stores that nobody closes, as after a crash: kept, lest the collector close their files with a warning. */
const abandoned: FileCheckpointStore[] = [];

export async function openWorkbench(provider: string, rules: Partial<CheckpointRules> = {}): Promise<Workbench> {
  const directory = await mkdtemp(join(tmpdir(), "guild-e2e-checkpoint-"));
  await chmod(directory, 0o755);
  const workspace = join(directory, "workspace");
  await mkdir(workspace);
  if (process.getuid?.() === 0) await chown(workspace, 0, 0);
  const storeDirectory = join(directory, "store");
  const stateDir = join(directory, "state");
  const sandboxes: SandboxProvider = createSandboxProvider(provider, { stateDir: join(directory, "provider") });
  let number = 0;
  const open = async (): Promise<Pick<Workbench, "sandbox" | "store" | "checkpointer">> => {
    const sandbox = await sandboxes.create({ id: `sbx_${process.pid}_${number++}`, workspace });
    const store = await FileCheckpointStore.open(storeDirectory, { graceMs: -1 });
    return { sandbox, store, checkpointer: createCheckpointer({ sandbox, store, stateDir, rules }) };
  };
  const bench: Workbench = {
    workspace,
    storeDirectory,
    ...(await open()),
    async reopen(how = "closed") {
      if (how === "crashed") abandoned.push(bench.store);
      else {
        await bench.checkpointer.close();
        await bench.store.close();
      }
      await bench.sandbox.dispose();
      if (how === "forgotten") await rm(stateDir, { recursive: true, force: true });
      Object.assign(bench, await open());
    },
    gitTree() {
      const env = {
        PATH: "/usr/bin:/bin",
        HOME: directory,
        GIT_CONFIG_NOSYSTEM: "1",
        GIT_DIR: join(directory, "git"),
        GIT_WORK_TREE: workspace,
      };
      const git = (...args: string[]) =>
        execFileSync("git", args, { cwd: workspace, env, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
      execFileSync("rm", ["-rf", join(directory, "git")]);
      git("init", "-q");
      git("add", "-A");
      return git("write-tree").trim();
    },
    async run(command) {
      const execution = await bench.sandbox.exec({ argv: ["/run/guildhall/bin/bash", "-c", command] });
      const output: Uint8Array[] = [];
      for await (const { bytes } of execution.output) output.push(bytes);
      const status = await execution.exit;
      await execution.close();
      if (status.code !== 0) throw new Error(`${command} ended with ${status.code ?? status.signal}: ${Buffer.concat(output).toString()}`);
    },
    async [Symbol.asyncDispose]() {
      await bench.checkpointer.close();
      await bench.store.close();
      await sandboxes.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
  return bench;
}
