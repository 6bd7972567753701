import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

import { GuildError } from "@guildhall/core";

const run = promisify(execFile);

/** Copies of workspaces in which sessions work whose results are reviewed before they are applied; one a session, kept until it is removed. */
export class ReviewCopies {
  readonly #directory: string;

  /** `directory`: ours, on a file system with room for the workspaces. */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /**
   * The session's copy, made when there is none: owners, modes, links and times as they are, content shared with the original where the file
   * system can. Throws `storage_full`, `failed_precondition`.
   */
  async open(session: string, workspace: string): Promise<string> {
    const own = join(this.#directory, session);
    const files = join(own, "files");
    if (existsSync(files)) return files;
    if (`${own}/`.startsWith(`${workspace}/`)) {
      throw new GuildError("failed_precondition", "the copy for review would lie within the workspace", {
        subject: workspace,
        remedy: "choose a workspace that does not hold Guildhall's own data",
      });
    }
    await mkdir(own, { recursive: true, mode: 0o700 });
    await chmod(own, 0o700);
    const making = join(own, "making");
    await rm(making, { recursive: true, force: true });
    try {
      await run("cp", ["-a", "--reflink=auto", "--", workspace, making]);
    } catch (error) {
      await rm(making, { recursive: true, force: true });
      const complaint = String((error as { stderr?: string }).stderr ?? error).split("\n")[0] ?? "";
      throw new GuildError(
        complaint.includes("No space") ? "storage_full" : "failed_precondition",
        `the copy for review cannot be made: ${complaint}`,
        {
          subject: workspace,
          remedy: "make room, or apply results directly",
          cause: error,
        },
      );
    }
    await rename(making, files);
    return files;
  }
}
