import { GuildError, type SandboxService, type SandboxVolume } from "@guildhall/core";

import type { DockerEngine } from "./engine.ts";
import { tar, type TarEntry } from "./tar.ts";

/** As the engine is asked for it. */
export interface VolumeMount {
  Type: "volume";
  Source: string;
  Target: string;
  ReadOnly: boolean;
}

/** Names of files in an archive that can be told without extensions of the format. */
const LONGEST = 99;

/** The volumes of one sandbox and its services: the engine's own, named after the sandbox, and gone with it. */
export class SandboxVolumes {
  readonly #engine: DockerEngine;
  readonly #prefix: string;
  readonly #labels: Record<string, string>;
  readonly #names: readonly string[];

  constructor(engine: DockerEngine, id: string, labels: Record<string, string>, all: readonly SandboxVolume[]) {
    this.#engine = engine;
    this.#prefix = `guildhall-${id}-`;
    this.#labels = labels;
    this.#names = [...new Set(all.map(({ name }) => name))];
  }

  /** Before the first container that has one. Those of the sandbox itself begin as its image has them, and become its user's. */
  async make(own: { image: string; volumes: readonly SandboxVolume[]; owner: { uid: number; gid: number } }): Promise<void> {
    for (const name of this.#names) {
      await this.#engine.post("/volumes/create", { body: { Name: this.#prefix + name, Driver: "local", Labels: this.#labels } });
    }
    const given = own.volumes.filter(({ readOnly }) => readOnly !== true);
    if (given.length === 0) return;
    // A container that is never started: what is put into it goes into its volumes, owners too, which cannot be told to a read-only one.
    const { Id: id } = (await this.#engine.post(`/containers/create?name=${encodeURIComponent(`${this.#prefix}volumes`)}`, {
      body: { Image: own.image, Cmd: ["none"], Labels: this.#labels, HostConfig: { NetworkMode: "none", Mounts: this.mounts(given) } },
    })) as { Id: string };
    try {
      const body = tar(given.map(({ at }) => ({ name: `${at.slice(1).replace(/\/$/, "")}/`, mode: 0o755, owner: own.owner })));
      await this.#engine.put(`/containers/${id}/archive?path=/`, { body });
    } finally {
      await this.#engine.delete(`/containers/${id}?force=1`);
    }
  }

  mounts(volumes: readonly SandboxVolume[] = []): VolumeMount[] {
    return volumes.map(({ name, at, readOnly }) => ({
      Type: "volume",
      Source: this.#prefix + name,
      Target: at,
      ReadOnly: readOnly === true,
    }));
  }

  /** Words for the program that mounts in a container: the engine's own directories, read-only where they are to be. For who may read these. */
  async trees(volumes: readonly SandboxVolume[]): Promise<string[]> {
    const found = volumes.map(async ({ name, at, readOnly }) => {
      const path = `/volumes/${encodeURIComponent(this.#prefix + name)}`;
      const { Mountpoint: source } = (await this.#engine.get(path)) as { Mountpoint: string };
      return [readOnly === true ? "--tool" : "--tree", source, at];
    });
    return (await Promise.all(found)).flat();
  }

  /** After the last container that had one. One that is still in use goes with the next start's leftovers. */
  async remove(): Promise<void> {
    const remove = (name: string) => this.#engine.delete(`/volumes/${encodeURIComponent(this.#prefix + name)}?force=1`);
    // Whatever is left goes with the next start's leftovers.
    await Promise.all(this.#names.map((name) => remove(name).catch(() => undefined)));
  }
}

/** Puts files into a container that has not started, in the order given. Throws what the engine says. */
export async function putFiles(engine: DockerEngine, container: string, files: NonNullable<SandboxService["files"]>): Promise<void> {
  const placed = files.map(({ at, text, mode }) => ({ name: at.slice(1), mode, content: Buffer.from(text) }));
  const long = placed.find(({ name }) => Buffer.byteLength(name) > LONGEST);
  if (long !== undefined) throw new GuildError("invalid_argument", "the path of a file is too long", { subject: long.name });
  const above = new Set<string>();
  for (const { name } of placed)
    for (let at = name.indexOf("/"); at !== -1; at = name.indexOf("/", at + 1)) above.add(name.slice(0, at + 1));
  const directories: TarEntry[] = [];
  for (const name of above) {
    // One that the image has stays as it is.
    if (!(await engine.has(`/containers/${container}/archive?path=${encodeURIComponent(`/${name}`)}`)))
      directories.push({ name, mode: 0o755 });
  }
  await engine.put(`/containers/${container}/archive?path=/`, { body: tar([...directories, ...placed]) });
}
