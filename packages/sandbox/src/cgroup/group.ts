import { mkdirSync, readdirSync, readFileSync, rmdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { GuildError, type ExitStatus, type SandboxLimits, type SandboxUsage } from "@guildhall/core";

import { groupOf, type Hierarchies } from "./hierarchies.ts";

const PREFIX = "guildhall-";
const OLD_MS = 60_000;
const CPU_PERIOD_US = 100_000;

/** Processes of the sandbox's own making (bubblewrap, init), on top of what it may have. */
const OVERHEAD_PROCESSES = 2;

/** The cgroups of one sandbox. Reading and writing them is a matter of microseconds, so it is done at once. */
export class SandboxGroup {
  /** Directories to join, for the launcher. */
  readonly directories: string[];
  readonly #hierarchies: Hierarchies;
  readonly #name: string;
  #killsSeen = 0;
  #forksRefusedSeen = 0;

  private constructor(hierarchies: Hierarchies, name: string, directories: string[]) {
    this.#hierarchies = hierarchies;
    this.#name = name;
    this.directories = directories;
  }

  /** The groups of a process that somebody else has put there, for what can be read of them. */
  static ofProcess(pid: number): SandboxGroup | undefined {
    const found = groupOf(pid);
    return found === undefined ? undefined : new SandboxGroup(found.hierarchies, found.name, []);
  }

  /** Makes the groups that are possible here and sets their limits. Throws `failed_precondition` when one cannot be made. */
  static create(hierarchies: Hierarchies, id: string, limits: SandboxLimits & { memoryBytes: number; processes: number }): SandboxGroup {
    const name = PREFIX + id;
    const wanted = [hierarchies.memory, hierarchies.pids, hierarchies.cpu, hierarchies.unified].filter((path) => path !== undefined);
    const group = new SandboxGroup(
      hierarchies,
      name,
      [...new Set(wanted)].map((path) => join(path, name)),
    );
    try {
      for (const directory of group.directories) mkdirSync(directory, { recursive: true });
      const old = hierarchies.version === 1;
      group.#set(hierarchies.memory, old ? "memory.limit_in_bytes" : "memory.max", String(limits.memoryBytes));
      if (!old) group.#set(hierarchies.memory, "memory.swap.max", "0", true);
      else group.#set(hierarchies.memory, "memory.memsw.limit_in_bytes", String(limits.memoryBytes), true);
      group.#set(hierarchies.pids, "pids.max", String(limits.processes + OVERHEAD_PROCESSES));
      if (limits.cpus !== undefined) {
        const quota = Math.max(1000, Math.round(limits.cpus * CPU_PERIOD_US));
        if (old) {
          group.#set(hierarchies.cpu, "cpu.cfs_period_us", String(CPU_PERIOD_US));
          group.#set(hierarchies.cpu, "cpu.cfs_quota_us", String(quota));
        } else group.#set(hierarchies.cpu, "cpu.max", `${quota} ${CPU_PERIOD_US}`);
      }
    } catch (error) {
      group.#removeNow();
      throw new GuildError("failed_precondition", `cannot make the cgroup ${name}: ${(error as Error).message}`, {
        subject: name,
        cause: error,
      });
    }
    return group;
  }

  /** Removes groups that a process which was killed has left: empty ones, older than any start takes. */
  static sweep(hierarchies: Hierarchies, now = Date.now()): void {
    const parents = [hierarchies.memory, hierarchies.pids, hierarchies.cpu, hierarchies.unified].filter((path) => path !== undefined);
    for (const parent of new Set(parents)) {
      for (const name of readdirSync(parent)) {
        if (!name.startsWith(PREFIX)) continue;
        try {
          if (statSync(join(parent, name)).ctimeMs < now - OLD_MS) rmdirSync(join(parent, name));
        } catch (error) {
          const code = (error as NodeJS.ErrnoException).code;
          if (code !== "EBUSY" && code !== "ENOENT" && code !== "EACCES" && code !== "EPERM") throw error; // in use, gone, not ours
        }
      }
    }
  }

  /** Names the limit that ended a process, where the kernel acted through the group. */
  explain(status: ExitStatus): ExitStatus {
    const kills = this.#counter(
      this.#hierarchies.memory,
      this.#hierarchies.version === 1 ? "memory.oom_control" : "memory.events",
      "oom_kill",
    );
    const forksRefused = this.#counter(this.#hierarchies.pids, "pids.events", "max");
    const killed = kills > this.#killsSeen;
    const refused = forksRefused > this.#forksRefusedSeen;
    this.#killsSeen = kills;
    this.#forksRefusedSeen = forksRefused;
    if (status.limit !== undefined) return status;
    if (killed && (status.signal === "SIGKILL" || status.code === 137)) return { ...status, limit: "memory" };
    if (refused && status.code !== 0) return { ...status, limit: "processes" };
    return status;
  }

  measure(seen: SandboxUsage): SandboxUsage {
    const file = this.#hierarchies.version === 1 ? "memory.usage_in_bytes" : "memory.current";
    const memoryBytes = Number(this.#get(this.#hierarchies.memory, file) ?? seen.memoryBytes);
    return { ...seen, memoryBytes };
  }

  /** Kills what is left, if anything can be, and removes the groups. */
  async remove(): Promise<void> {
    this.#set(this.#hierarchies.unified, "cgroup.kill", "1", true);
    for (let attempt = 0; attempt < 200; attempt++) {
      if (this.#removeNow()) return;
      await sleep(5); // the last process has ended but has not been taken off its group yet
    }
    throw new GuildError("internal", `the cgroup ${this.#name} could not be removed`, { subject: this.#name });
  }

  #removeNow(): boolean {
    let all = true;
    for (const directory of this.directories) {
      try {
        rmdirSync(directory);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ENOENT") all = false;
      }
    }
    return all;
  }

  #set(parent: string | undefined, file: string, value: string, optional = false): void {
    if (parent === undefined) return;
    try {
      writeFileSync(join(parent, this.#name, file), value);
    } catch (error) {
      if (!optional) throw error;
    }
  }

  #get(parent: string | undefined, file: string): string | undefined {
    if (parent === undefined) return undefined;
    try {
      return readFileSync(join(parent, this.#name, file), "utf8");
    } catch {
      return undefined; // this kernel does not count it
    }
  }

  #counter(parent: string | undefined, file: string, name: string): number {
    const line = this.#get(parent, file)
      ?.split("\n")
      .find((one) => one.startsWith(`${name} `));
    return line === undefined ? 0 : Number(line.split(" ")[1]);
  }
}
