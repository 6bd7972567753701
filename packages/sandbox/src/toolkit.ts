import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { GuildError } from "@guildhall/core";

/** Where every sandbox finds the toolkit: `init`, `bin/bash`, `bin/rg`, `bin/git`, `bin/socat`. */
export const TOOLKIT_MOUNT = "/run/guildhall";

/** What `native/build.sh` makes. */
export interface Toolkit {
  /** Mounted at `TOOLKIT_MOUNT`. */
  directory: string;
  init: string;
  launch: string;
  place: string;
  seccomp: string;
}

/** Where `native/build.sh` writes unless told otherwise. */
export function defaultToolkitDir(): string {
  return fileURLToPath(new URL("../build", import.meta.url));
}

/** Finds the built toolkit. Throws `failed_precondition` when it is not there. */
export function findToolkit(directory = defaultToolkitDir()): Toolkit {
  const toolkit = {
    directory: join(directory, "toolkit"),
    init: join(directory, "toolkit/init"),
    launch: join(directory, "host/launch"),
    place: join(directory, "host/place"),
    seccomp: join(directory, "host/seccomp.bpf"),
  };
  for (const path of Object.values(toolkit)) {
    if (existsSync(path)) continue;
    throw new GuildError("failed_precondition", "the sandbox toolkit is not built", {
      subject: path,
      remedy: TOOLKIT_REMEDY,
    });
  }
  return toolkit;
}

export const TOOLKIT_REMEDY = "run packages/sandbox/native/build.sh";
