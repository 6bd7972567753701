import type { SandboxLimits } from "@guildhall/core";

import type { World } from "./world.ts";

/** Where the control runs, which shows that the attack works when there is no sandbox. */
export type ControlPlace =
  /** As an ordinary user of this machine: the caller, or somebody without rights when the caller is root. */
  | "user"
  /** As the same user, who is root in a user namespace with mounts, processes and network of its own. */
  | "namespace"
  /** As root. Only for what is opened or asked for and changes nothing. */
  | "root";

/** What an attack is judged by. */
export interface Seen {
  stdout: string;
  /** Limit that ended it. */
  limit: string | undefined;
  workspace: string;
  world: World;
  /** Of this one run: the last argument of processes that it leaves, part of the names of what it plants. */
  mark: string;
}

/** One thing that text of others, run as commands, may try. */
export interface Attack {
  id: string;
  /** What is tried, in a line. */
  title: string;
  /** What contains it. */
  by: string;
  /**
   * In the toolkit's bash, in a workspace. Finds in its environment what `World` has: OUTSIDE, PORT, UDP, SOCKET, ABSTRACT, PASS, HELPER, MARK, MARKER, PLANT;
   * and `./probe`.
   */
  script: string;
  control: ControlPlace;
  /** What the control runs, where the attack goes another way without a sandbox. */
  openly?: string;
  /** The sandbox has a way out to the internet of `internet.ts`; `FAR`, `FAR_TLS` and `INNER` are ports of that on this machine. */
  wayOut?: true;
  limits?: SandboxLimits;
  /** Of the one execution. */
  execution?: { cpuSeconds?: number; fileBytes?: number; openFiles?: number; wallSeconds?: number };
  /** Makes the workspace a git repository first. */
  repository?: true;
  /** What a person does in the workspace afterwards, outside. */
  afterwards?: string;
  /** True: it got through. Default: a line `THROUGH`, or the canary, came out. */
  judge?(seen: Seen): boolean | Promise<boolean>;
  /** Belongs to the sample that every run of the tests takes. */
  sample?: true;
}
