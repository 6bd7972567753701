import { execFile } from "node:child_process";
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { promisify } from "node:util";

import { type Checkpointer, GuildError, type SessionRecord } from "@guildhall/core";
import type { Offer } from "@guildhall/protocol/internal";

import { checkWorkspace } from "../worker/workspace.ts";

const run = promisify(execFile);

export interface WorkspacesDeps {
  env: Readonly<Record<string, string | undefined>>;
  /** Runs `work` with a checkpointer over `workspace` in a sandbox of its own. */
  withCheckpointer<T>(workspace: string, provider: string, work: (checkpointer: Checkpointer) => Promise<T>): Promise<T>;
}

/** Workspaces of offers on this worker: shared directories as they are, clones made and put into the state of their last checkpoint. */
export interface ManagedWorkspaces {
  prepare(offer: Offer, record: SessionRecord): Promise<void>;
  /** Pushes the result of a cloned workspace to the branch that its task names. */
  deliver(offer: Offer, record: SessionRecord): Promise<void>;
}

export function managedWorkspaces(deps: WorkspacesDeps): ManagedWorkspaces {
  const git = async (cwd: string, args: string[], subject: string): Promise<string> => {
    // Nothing of a repository or of this machine's git takes effect: no hooks, no templates, no questions.
    const fixed = ["-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "protocol.ext.allow=never"];
    const env = { ...deps.env, GIT_TERMINAL_PROMPT: "0", GIT_CONFIG_NOSYSTEM: "1" };
    try {
      return (await run("git", [...fixed, ...args], { cwd, env, maxBuffer: 16 << 20 })).stdout;
    } catch (error) {
      const text = error instanceof Error && "stderr" in error ? String(error.stderr) : String(error);
      const line = text.split("\n").findLast((one) => /fatal|error/i.test(one)) ?? text.split("\n")[0] ?? "";
      throw new GuildError("failed_precondition", `git ${args[0] ?? ""} failed: ${line.trim()}`, {
        subject,
        remedy: "check the URL, the branch and the worker's rights",
        cause: error,
      });
    }
  };
  return {
    async prepare(offer) {
      const { workspace, directory, tree } = offer;
      if (workspace?.source.case !== "gitUrl") return void checkWorkspace(directory);
      const url = workspace.source.value;
      if (!existsSync(`${directory}/.git`)) {
        rmSync(directory, { recursive: true, force: true });
        mkdirSync(dirname(directory), { recursive: true, mode: 0o700 });
        await git(dirname(directory), ["clone", "--quiet", "--template=", "--", url, directory], url);
        if (workspace.gitRef !== "")
          await git(directory, ["checkout", "--quiet", "--detach", workspace.gitRef, "--"], `${url} ${workspace.gitRef}`);
      }
      checkWorkspace(directory);
      if (tree !== "") await deps.withCheckpointer(directory, "", (checkpointer) => checkpointer.restore(tree));
    },
    async deliver(offer, record) {
      const { workspace, directory, resultBranch } = offer;
      if (workspace?.source.case !== "gitUrl" || resultBranch === "") return;
      const who = ["-c", "user.name=Guildhall", "-c", "user.email=guildhall@localhost", "-c", "commit.gpgSign=false"];
      await git(directory, ["add", "--all"], directory);
      await git(directory, [...who, "commit", "--quiet", "--allow-empty", "--no-verify", "--message", record.title], directory);
      await git(directory, ["push", "--quiet", workspace.source.value, `HEAD:refs/heads/${resultBranch}`], resultBranch);
    },
  };
}
