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

const WHO = ["-c", "user.name=Guildhall", "-c", "user.email=guildhall@localhost", "-c", "commit.gpgSign=false"];

/** Workspaces of offers on this worker: shared directories as they are, clones made and put into the state of their last checkpoint. */
export interface ManagedWorkspaces {
  /** `base`: the commit that a clone was made of; empty: it is none. */
  prepare(offer: Offer, record: SessionRecord): Promise<{ base: string }>;
  /** Pushes the result of a cloned workspace to the branch that its task names. May be repeated, by another worker too. */
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
  /** A directory of uploaded files, and a repository of one commit, so that an agent can see what it has changed. */
  const unpack = async (directory: string, upload: string): Promise<void> => {
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    await deps.withCheckpointer(directory, "", (checkpointer) => checkpointer.restore(upload));
    await git(directory, ["init", "--quiet", "--template=", "--initial-branch=main"], directory);
    await git(directory, ["add", "--all"], directory);
    await git(directory, [...WHO, "commit", "--quiet", "--allow-empty", "--no-verify", "--message", "as uploaded"], directory);
  };
  return {
    async prepare(offer) {
      const { workspace, directory, tree } = offer;
      if (workspace?.source.case === "upload") {
        if (!existsSync(`${directory}/.git`)) await unpack(directory, workspace.source.value);
        if (tree !== "") await deps.withCheckpointer(directory, "", (checkpointer) => checkpointer.restore(tree));
        return { base: "" };
      }
      if (workspace?.source.case !== "gitUrl") {
        checkWorkspace(directory);
        return { base: "" };
      }
      const url = workspace.source.value;
      if (!existsSync(`${directory}/.git`)) {
        rmSync(directory, { recursive: true, force: true });
        mkdirSync(dirname(directory), { recursive: true, mode: 0o700 });
        await git(dirname(directory), ["clone", "--quiet", "--template=", "--", url, directory], url);
        // What moves meanwhile is no part of this task's work: the second clone is of the commit that the first was of.
        const wanted = offer.base === "" ? workspace.gitRef : offer.base;
        if (wanted !== "") await git(directory, ["checkout", "--quiet", "--detach", wanted, "--"], `${url} ${wanted}`);
      }
      checkWorkspace(directory);
      const base = offer.base === "" ? (await git(directory, ["rev-parse", "HEAD"], url)).trim() : offer.base;
      if (tree !== "") await deps.withCheckpointer(directory, "", (checkpointer) => checkpointer.restore(tree));
      return { base };
    },
    async deliver(offer, record) {
      const { workspace, directory, resultBranch } = offer;
      if (workspace?.source.case !== "gitUrl" || resultBranch === "") return;
      const url = workspace.source.value;
      const trailer = `Guildhall-Task: ${offer.taskId}`;
      await git(directory, ["add", "--all"], directory);
      await git(
        directory,
        [...WHO, "commit", "--quiet", "--allow-empty", "--no-verify", "--message", record.title, "--message", trailer],
        directory,
      );
      try {
        await git(directory, ["push", "--quiet", url, `HEAD:refs/heads/${resultBranch}`], resultBranch);
      } catch (error) {
        // It may be there already, from a worker that died before it could say so.
        const there = await git(directory, ["fetch", "--quiet", "--no-tags", url, `refs/heads/${resultBranch}`], resultBranch)
          .then(() => git(directory, ["log", "-1", "--format=%B", "FETCH_HEAD"], resultBranch))
          .catch(() => "");
        if (!there.split("\n").includes(trailer)) throw error;
      }
    },
  };
}
