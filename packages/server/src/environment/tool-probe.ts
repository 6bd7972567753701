import { mkdirSync } from "node:fs";
import { join } from "node:path";

import type { Ids, SandboxProvider, SandboxToolchain, ToolVersion } from "@guildhall/core";

import { stampOf, ToolStore } from "./tool-store.ts";

export interface ToolProbeOptions {
  /** For what may be lost. */
  stateDir: string;
  provider(name: string): Promise<SandboxProvider>;
  ids: Ids;
}

/** Asks the programs of environments for their versions, in a sandbox of their own, once as long as they stay the same. */
export class ToolProbe {
  readonly #options: ToolProbeOptions;
  readonly #known: ToolStore;
  /** Being found out, by what they stay the same for. */
  readonly #asked = new Map<string, Promise<readonly ToolVersion[]>>();

  constructor(options: ToolProbeOptions) {
    this.#options = options;
    this.#known = new ToolStore(join(options.stateDir, "tools.json"));
  }

  async tools(environment: Probed, names: string[], provider: string, how: { anew: boolean }): Promise<readonly ToolVersion[]> {
    const { path, mounts, pure, variables, image } = environment;
    const chosen = await this.#options.provider(provider);
    const inside = [...path, ...(pure || image !== undefined ? [] : SYSTEM_DIRECTORIES)];
    const onHost = inside.map((directory) => {
      const mount = mounts.find(({ at }) => directory === at || directory.startsWith(`${at}/`));
      return mount === undefined ? directory : mount.source + directory.slice(mount.at.length);
    });
    const stamp = stampOf(names, onHost, [chosen.name, path, pure, variables, FORMAT, ...(image === undefined ? [] : [image])]);
    const known = how.anew ? undefined : this.#known.get(stamp);
    if (known !== undefined) return known;
    // Sessions that begin together wait for one answer, instead of a sandbox each.
    const asked = this.#asked.get(stamp);
    if (asked !== undefined) return await asked;
    const answer = this.#ask(chosen, environment, names, stamp);
    this.#asked.set(stamp, answer);
    return await answer.finally(() => void this.#asked.delete(stamp));
  }

  async #ask(chosen: SandboxProvider, environment: Probed, names: string[], stamp: string): Promise<readonly ToolVersion[]> {
    const { stateDir, ids } = this.#options;
    const { path, mounts, pure, variables, image } = environment;
    const system = image === undefined ? {} : { image };
    const { probeTools } = await import("@guildhall/environment");
    const workspace = join(stateDir, "probe");
    mkdirSync(workspace, { recursive: true, mode: 0o700 });
    const sandbox = await chosen.create({
      id: ids.next("sbx"),
      workspace,
      env: { ...variables },
      toolchain: { path, mounts, pure, ...system },
    });
    try {
      const tools: ToolVersion[] = await probeTools(sandbox, names, {
        shell: "/run/guildhall/bin/bash",
        // What the system of an image has is not known.
        pure: pure || image !== undefined,
      });
      this.#known.set(stamp, tools);
      return tools;
    } finally {
      await sandbox.dispose();
    }
  }
}

type Probed = SandboxToolchain & { variables: Readonly<Record<string, string>> };

/** Goes up when programs are asked otherwise. */
const FORMAT = 1;

const SYSTEM_DIRECTORIES = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
