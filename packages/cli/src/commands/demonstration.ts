import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { GuildError } from "@guildhall/core";

import type { Context } from "../client/context.ts";

export interface Demonstration {
  goal: string;
  /** A fresh copy of the sample, a git repository. */
  workspace: string;
  /** Absolute path of the script that plays the model. */
  script: string;
  /** Name of the sample. */
  sample: string;
}

/** The directory is Guildhall's own, or in no repository: nobody can mean a project of theirs. */
export function isForDemonstration(cwd: string): boolean {
  if (existsSync(join(cwd, "samples", "mend.script.yaml"))) return true;
  for (let directory = cwd; ; directory = dirname(directory)) {
    if (existsSync(join(directory, ".git"))) return false;
    if (dirname(directory) === directory) return true;
  }
}

/** Copies the shipped sample repository into the state directory and makes it a git repository with one commit. */
export async function prepareDemonstration(context: Context): Promise<Demonstration> {
  const samples = findSamples();
  const parent = join(context.paths.state, "demonstrations");
  mkdirSync(parent, { recursive: true, mode: 0o700 });
  const workspace = mkdtempSync(join(parent, "mend-"));
  cpSync(join(samples, "mend"), workspace, { recursive: true });
  initialise(workspace);
  return { goal: "Make the tests pass.", workspace, script: join(samples, "mend.script.yaml"), sample: "samples/mend" };
}

/** A repository without the person's hooks, templates and signing, so that nothing of theirs runs or asks. */
function initialise(workspace: string): void {
  const git = (...args: string[]): void => {
    execFileSync(
      "git",
      [
        "-c",
        "core.hooksPath=/dev/null",
        "-c",
        "commit.gpgSign=false",
        "-c",
        "user.name=Guildhall",
        "-c",
        "user.email=guildhall@localhost",
        ...args,
      ],
      {
        cwd: workspace,
        stdio: ["ignore", "ignore", "pipe"],
      },
    );
  };
  try {
    git("init", "--quiet", "--template=", "--initial-branch=main");
    git("add", "--all");
    git("commit", "--quiet", "--no-verify", "--message", "A sample with a failing test");
  } catch (error) {
    throw new GuildError("failed_precondition", "git did not make the sample repository", {
      subject: workspace,
      remedy: "install git, then run guild doctor",
      cause: error,
    });
  }
}

function findSamples(): string {
  for (let directory = dirname(fileURLToPath(import.meta.url)); dirname(directory) !== directory; directory = dirname(directory)) {
    const samples = join(directory, "samples");
    if (existsSync(join(samples, "mend.script.yaml"))) return samples;
  }
  throw new GuildError("not_found", "the sample of the demonstration is missing", {
    remedy: "install Guildhall again, or name a model with --model",
  });
}
