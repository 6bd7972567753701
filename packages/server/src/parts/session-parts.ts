import type { BlobStore, EventLog, Masker, Sandbox, SandboxSpec, SessionKey, SessionPart, ToolSession } from "@guildhall/core";
import { GuildError } from "@guildhall/core";

import type { Log } from "../daemon/log.ts";

/** Where parts join: a session, or tools that are called without one. */
export interface PartPlace {
  /** Undefined: tools are called without a session. */
  session?: SessionKey;
  /** Absolute path, the same inside the sandbox. */
  workspace: string;
  /** Sandbox provider; empty: the configured one. */
  provider: string;
}

/** What a part may work with; sandbox and tool session may still be starting. */
export interface PartContext extends PartPlace {
  sandbox: Promise<Sandbox>;
  toolSession: Promise<ToolSession>;
  /** What the sandbox was made from, without its way out and its secrets. Undefined: it is nobody's but the caller's. */
  spec?: Promise<Omit<SandboxSpec, "wayOut">>;
  masker: Masker;
  log: EventLog;
  blobs: BlobStore;
}

/** What a sandbox is given on account of a part. */
export type PartSurroundings = Pick<SandboxSpec, "env" | "readOnly" | "toolchain">;

/** Makes the parts of one kind, for every session of the daemon. The composition root lists them in ./index.ts. */
export interface PartFactory {
  readonly name: string;
  /** Said once, at the end of the system prompt of a new session; bounded. Empty: nothing. */
  introduction?(place: PartPlace): string | Promise<string>;
  /** Before the sandbox starts, which waits for it. */
  surroundings?(place: PartPlace): PartSurroundings | Promise<PartSurroundings>;
  /**
   * The session's part, or none for this place. Returns soon: what takes long (servers that have to start) goes on behind it, and shows in the
   * part's tools and notices later.
   */
  open(context: PartContext): SessionPart | undefined | Promise<SessionPart | undefined>;
  close?(): Promise<void>;
}

/** All kinds of parts of one daemon. One that fails is reported in the daemon's log, and the session goes on without it. */
export class SessionParts {
  readonly #factories: readonly PartFactory[];
  readonly #journal: Log;

  constructor(factories: readonly PartFactory[], journal: Log) {
    this.#factories = factories;
    this.#journal = journal;
  }

  /** What they have to say at the end of a new session's system prompt. */
  async introduction(place: PartPlace): Promise<string> {
    const said = await this.#each(place, async (factory) => factory.introduction?.(place));
    return said.filter((text) => text !== undefined && text !== "").join("\n\n");
  }

  async surroundings(place: PartPlace): Promise<PartSurroundings> {
    const all = (await this.#each(place, async (factory) => factory.surroundings?.(place))).filter((one) => one !== undefined);
    const readOnly = all.flatMap((one) => one.readOnly ?? []);
    const toolchain = all.flatMap((one) => one.toolchain ?? []).at(-1);
    return {
      env: Object.assign({}, ...all.map((one) => one.env)) as Record<string, string>,
      ...(readOnly.length > 0 ? { readOnly } : {}),
      ...(toolchain === undefined ? {} : { toolchain }),
    };
  }

  /** In the order of the list; to be closed with `closeParts`. */
  async open(context: PartContext): Promise<SessionPart[]> {
    return (await this.#each(context, async (factory) => factory.open(context))).filter((part) => part !== undefined);
  }

  failed(place: PartPlace, part: string, error: unknown): void {
    this.#journal.warn(`${place.session?.session ?? place.workspace}: ${part}: ${GuildError.from(error).line}`);
  }

  async close(): Promise<void> {
    await Promise.all(this.#factories.map(async (factory) => factory.close?.()));
  }

  #each<T>(place: PartPlace, ask: (factory: PartFactory) => Promise<T | undefined>): Promise<Array<T | undefined>> {
    return Promise.all(
      this.#factories.map((factory) =>
        ask(factory).catch((error: unknown) => {
          this.failed(place, factory.name, error);
          return undefined;
        }),
      ),
    );
  }
}

/** Closes them all, whatever becomes of any; throws the first failure. */
export async function closeParts(parts: readonly SessionPart[]): Promise<void> {
  const ends = await Promise.allSettled(parts.map(async (part) => part.close?.()));
  const failed = ends.find((end) => end.status === "rejected");
  if (failed !== undefined) throw GuildError.from(failed.reason);
}
