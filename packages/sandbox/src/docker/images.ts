import { createHash } from "node:crypto";

import { GuildError } from "@guildhall/core";

import { DockerEngine } from "./engine.ts";
import { tar, type TarEntry } from "./tar.ts";

const REPOSITORY = "guildhall/built";

/** What an engine says of an image that it has. */
export interface ImageFacts {
  /** `sha256:…`: names its content. */
  id: string;
  /** `linux/amd64`. */
  platform: string;
  env: Readonly<Record<string, string>>;
}

/** Images of the Docker engine on this machine. */
export class DockerImages {
  readonly #engine: DockerEngine;

  /** `host` as in DOCKER_HOST; empty: the usual socket. */
  constructor(host: string) {
    this.#engine = new DockerEngine(host);
  }

  /** Undefined: the engine has no such image; nothing is pulled. Throws when no engine answers. */
  async facts(name: string): Promise<ImageFacts | undefined> {
    try {
      const found = (await this.#engine.get(`/images/${encodeURIComponent(name)}/json`)) as {
        Id: string;
        Os?: string;
        Architecture?: string;
        Config?: { Env?: string[] | null } | null;
      };
      const env = Object.fromEntries(
        (found.Config?.Env ?? []).map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)]),
      );
      return { id: found.Id, platform: `${found.Os ?? ""}/${found.Architecture ?? ""}`, env };
    } catch (error) {
      if (GuildError.is(error, "not_found")) return undefined;
      throw error;
    }
  }

  /**
   * Builds an image from a Dockerfile and files, without a network, and resolves to its name; one that was built from the same before is taken.
   * Throws `failed_precondition` with the last that the build said.
   */
  async build(from: {
    dockerfile: string;
    files: ReadonlyArray<{ path: string; text: string; mode: number }>;
    args?: Readonly<Record<string, string>>;
    target?: string;
  }): Promise<string> {
    const file = (name: string, text: string, mode: number): TarEntry => ({ name, mode, content: Buffer.from(text) });
    const archive = tar([file("Dockerfile", from.dockerfile, 0o644), ...from.files.map(({ path, text, mode }) => file(path, text, mode))]);
    const { args = {}, target = "" } = from;
    const more = Object.keys(args).length === 0 && target === "" ? "" : JSON.stringify([args, target]);
    const tag = createHash("sha256").update(archive).update(more).digest("hex").slice(0, 24);
    const name = `${REPOSITORY}:${tag}`;
    if ((await this.facts(name)) !== undefined) return name;
    const how = `&buildargs=${encodeURIComponent(JSON.stringify(args))}&target=${encodeURIComponent(target)}`;
    const said = await this.#engine.lines(`/build?t=${encodeURIComponent(name)}&networkmode=none&forcerm=1&rm=1${how}`, {
      body: archive,
      patient: true,
    });
    if ((await this.facts(name)) !== undefined) return name;
    const texts = said.split("\n").flatMap((line) => /"(?:stream|error)":"((?:[^"\\]|\\.)*)"/.exec(line)?.[1] ?? []);
    const last = texts.map((text) => text.replaceAll("\\n", " ").trim()).filter((text) => text !== "");
    throw new GuildError("failed_precondition", `the image could not be built: ${last.slice(-2).join(": ").slice(0, 300)}`);
  }
}
