import { existsSync, mkdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";

import type { Checkpointer, SessionRecord } from "@guildhall/core";
import type { Offer } from "@guildhall/protocol/internal";

import { checkWorkspace } from "../worker/workspace.ts";
import { checkGitName, headOf, hostGit, IDENTITY, pushWorktree } from "./host-git.ts";

export interface WorkspacesDeps {
  env: Readonly<Record<string, string | undefined>>;
  /** Runs `work` with a checkpointer over `workspace` in a sandbox of its own. */
  withCheckpointer<T>(workspace: string, provider: string, work: (checkpointer: Checkpointer) => Promise<T>): Promise<T>;
}

/** Workspaces of offers on this worker: shared directories as they are, clones made and put into the state of their last checkpoint. */
export interface ManagedWorkspaces {
  /** `base`: the commit that a clone was made of; empty: it is none. */
  prepare(offer: Offer, record: SessionRecord): Promise<{ base: string }>;
  /** Pushes the result of a cloned workspace to the branch that its task names. May be repeated, by another worker too. */
  deliver(offer: Offer, record: SessionRecord): Promise<void>;
}

export function managedWorkspaces(deps: WorkspacesDeps): ManagedWorkspaces {
  const git = hostGit(deps.env);
  /** A directory of uploaded files, and a repository of one commit, so that an agent can see what it has changed. */
  const unpack = async (directory: string, upload: string): Promise<void> => {
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    await deps.withCheckpointer(directory, "", (checkpointer) => checkpointer.restore(upload));
    await git(directory, ["init", "--quiet", "--template=", "--initial-branch=main"], directory);
    await git(directory, ["add", "--all"], directory);
    await git(directory, [...IDENTITY, "commit", "--quiet", "--allow-empty", "--no-verify", "--message", "as uploaded"], directory);
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
      checkGitName("URL", url);
      if (workspace.gitRef !== "") checkGitName("revision", workspace.gitRef);
      if (!existsSync(`${directory}/.git`)) {
        rmSync(directory, { recursive: true, force: true });
        mkdirSync(dirname(directory), { recursive: true, mode: 0o700 });
        await git(dirname(directory), ["clone", "--quiet", "--template=", "--", url, directory], url);
        // What moves meanwhile is no part of this task's work: the second clone is of the commit that the first was of.
        const wanted = offer.base === "" ? workspace.gitRef : offer.base;
        if (wanted !== "") await git(directory, ["checkout", "--quiet", "--detach", wanted, "--"], `${url} ${wanted}`);
      }
      checkWorkspace(directory);
      const base = offer.base === "" ? ((await headOf(`${directory}/.git`)) ?? "") : offer.base;
      if (tree !== "") await deps.withCheckpointer(directory, "", (checkpointer) => checkpointer.restore(tree));
      return { base };
    },
    async deliver(offer, record) {
      const { workspace, directory, resultBranch } = offer;
      if (workspace?.source.case !== "gitUrl" || resultBranch === "") return;
      const trailer = `Guildhall-Task: ${offer.taskId}`;
      await pushWorktree(git, { directory, url: workspace.source.value, branch: resultBranch, message: record.title, trailer });
    },
  };
}
