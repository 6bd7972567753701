import { createHash } from "node:crypto";
import { lstatSync, readlinkSync } from "node:fs";

import { GuildError } from "@guildhall/core";

import { systemDirectories } from "../bubblewrap/arguments.ts";
import type { DockerEngine } from "./engine.ts";
import { tar, type TarEntry } from "./tar.ts";

const REPOSITORY = "guildhall/system";

/** An image of the engine's, and what it says of itself. */
export interface SandboxImage {
  name: string;
  /** The environment that it gives to its programs. */
  env: Record<string, string>;
  /** True: it is empty, and this machine's system is mounted in it. */
  bare: boolean;
}

/**
 * The image of sandboxes. `name` empty: one without a single file, made here, so that nothing has to be pulled; the programs are this machine's,
 * mounted read-only. Else the one that is named, which the engine must have: throws `not_found`.
 */
export async function sandboxImage(engine: DockerEngine, name: string): Promise<SandboxImage> {
  if (name !== "") {
    const found = await inspect(engine, name);
    if (found !== undefined) return { name, env: found, bare: false };
    throw new GuildError("not_found", `the Docker engine has no image ${name}`, { subject: name, remedy: `docker pull ${name}` });
  }
  const archive = tar(skeleton());
  const tag = createHash("sha256").update(archive).digest("hex").slice(0, 12);
  const own = `${REPOSITORY}:${tag}`;
  if ((await inspect(engine, own)) === undefined) {
    await engine.post(`/images/create?fromSrc=-&repo=${encodeURIComponent(REPOSITORY)}&tag=${tag}`, { body: archive });
    if ((await inspect(engine, own)) === undefined)
      throw new GuildError("failed_precondition", `the Docker engine did not take the image ${own}`);
  }
  return { name: own, env: {}, bare: true };
}

/** Links from the root into /usr as they are on this machine; mount points the engine makes itself. */
function skeleton(): TarEntry[] {
  const entries: TarEntry[] = [
    { name: "var/", mode: 0o755 },
    { name: "var/tmp", link: "../tmp" },
  ];
  for (const path of systemDirectories) {
    if (lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true)
      entries.push({ name: path.slice(1), link: readlinkSync(path) });
  }
  return entries;
}

async function inspect(engine: DockerEngine, name: string): Promise<Record<string, string> | undefined> {
  try {
    const found = (await engine.get(`/images/${encodeURIComponent(name)}/json`)) as { Config?: { Env?: string[] | null } | null };
    const pairs = (found.Config?.Env ?? []).map((one): [string, string] => {
      const at = one.indexOf("=");
      return [one.slice(0, at), one.slice(at + 1)];
    });
    return Object.fromEntries(pairs);
  } catch (error) {
    if (GuildError.is(error, "not_found")) return undefined;
    throw error;
  }
}
