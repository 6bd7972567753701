import { createHash } from "node:crypto";

import { type Environment, GuildError, type Ids, type Sandbox, type SandboxProvider, type SandboxSpec } from "@guildhall/core";
import type * as environment from "@guildhall/environment";

type Library = typeof environment;

export interface SessionServersOptions {
  library: Library;
  shared: environment.SharedServers;
  sandbox: Promise<Sandbox>;
  /** What the sandbox was made from; undefined: nothing is shared. */
  spec: Promise<SandboxSpec> | undefined;
  environment: Environment;
  kinds: readonly environment.ServerKind[];
  programs: Readonly<Record<string, string>>;
  provider(name: string): Promise<SandboxProvider>;
  ids: Ids;
}

/**
 * The language servers of one session: those that it shares with the other sessions of its directory, and its own where sharing would show it
 * something else. See docs/decisions/language-servers-shared.md.
 */
export class SessionServers implements environment.ServerSource {
  readonly #options: SessionServersOptions;
  #own: environment.LanguageServers | undefined;
  #member: Promise<environment.SharedMember | undefined> | undefined;
  #home: Promise<string> | undefined;
  #alone = false;

  constructor(options: SessionServersOptions) {
    this.#options = options;
    this.#alone = options.spec === undefined;
  }

  knows(path: string): boolean {
    return this.#options.library.kindOf(path, this.#options.kinds) !== undefined;
  }

  async of(path: string): Promise<environment.ServedFile> {
    const member = await this.#sharing(path);
    if (member === undefined) return await this.#mine(path);
    try {
      return await member.of(path);
    } catch (error) {
      // It may stand where only this session's sandbox has it.
      if (GuildError.is(error, "not_found")) return await this.#mine(path);
      throw error;
    }
  }

  /** The session's commands run in another environment from now on: so do its servers, and nobody else's. */
  async apart(): Promise<void> {
    this.#alone = true;
    const [own, member] = [this.#own, this.#member];
    this.#own = undefined;
    this.#member = undefined;
    await Promise.all([own?.close(), member?.then((one) => one?.leave())]);
  }

  async close(): Promise<void> {
    await this.apart();
  }

  async #mine(path: string): Promise<environment.ServedFile> {
    const { library, sandbox, spec, kinds, programs } = this.#options;
    if (this.#own === undefined) {
      const given = await spec;
      const watched = given === undefined ? undefined : (given.source ?? given.workspace);
      this.#own ??= new library.LanguageServers({ sandbox, kinds, programs, ...(watched === undefined ? {} : { watched }) });
    }
    return await this.#own.of(path);
  }

  async #sharing(path: string): Promise<environment.SharedMember | undefined> {
    if (this.#alone) return undefined;
    const kind = this.#options.library.kindOf(path, this.#options.kinds)?.kind;
    const sandbox = await this.#options.sandbox;
    if (sandbox.provider !== "host") {
      for (const place of kind?.homes ?? []) if (await isThere(sandbox, `${await this.#homeOf(sandbox)}/${place}`)) return undefined;
    }
    return await (this.#member ??= this.#join(sandbox));
  }

  async #join(sandbox: Sandbox): Promise<environment.SharedMember | undefined> {
    const { shared, environment: has, kinds, programs, ids, library } = this.#options;
    const spec = await this.#options.spec;
    // A copy of the workspace, or what commands have made of an image, no other sandbox has.
    if (spec === undefined || sandbox.settle !== undefined || has.image !== undefined || (has.setup ?? []).length > 0) return undefined;
    const { id: _, ...same } = spec;
    const bare = { ...same, env: { ...same.env } };
    return shared.join({
      key: keyOf([sandbox.provider, bare, has.hash, has.shellHook, kinds]),
      watched: spec.source ?? spec.workspace,
      kinds,
      programs,
      open: async () => {
        const provider = await this.#options.provider(sandbox.provider);
        const opened = await provider.create({ ...bare, id: ids.next("sbx") });
        // What went wrong with it, the session was told about its own sandbox.
        if (has.shellHook !== "") await library.runShellHook(opened, has.shellHook, has.variables);
        return opened;
      },
    });
  }

  #homeOf(sandbox: Sandbox): Promise<string> {
    return (this.#home ??= this.#options.library.readHome(sandbox));
  }
}

async function isThere(sandbox: Sandbox, path: string): Promise<boolean> {
  try {
    await sandbox.files.stat(path);
    return true;
  } catch (error) {
    if (GuildError.is(error, "not_found")) return false;
    throw error;
  }
}

function keyOf(parts: readonly unknown[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}
