import { GuildError, type Sandbox } from "@guildhall/core";

import { LanguageServers, type ServedFile, type ServerSource } from "./language-servers.ts";
import { kindOf, type ServerKind } from "./server-kinds.ts";

/** Servers of one place, as one session has them. */
export interface SharedMember extends ServerSource {
  /** Closes what only this session had open; the last that leaves ends servers and sandbox. Idempotent. */
  leave(): Promise<void>;
}

interface Group {
  servers: LanguageServers;
  sandbox: Promise<Sandbox>;
  members: Set<object>;
}

/** A place that sessions may have together. */
export interface SharedPlace {
  /** Everything that a server could reach or tell the difference by, as text. */
  key: string;
  /** Where its files are on this machine. */
  watched: string;
  kinds: readonly ServerKind[];
  programs: Readonly<Record<string, string>>;
  /** Makes its sandbox, when nobody has it. */
  open(): Promise<Sandbox>;
}

/**
 * Language servers that sessions of one place have together, in a sandbox of their own. What a member learns through a server it
 * could have read itself: whoever joins says by the key that he may reach exactly what the others may.
 */
export class SharedServers {
  readonly #groups = new Map<string, Group>();

  /** Nothing starts before the first question. */
  join(place: SharedPlace): SharedMember {
    const member = {};
    let left = false;
    const group = (): Group => {
      const known = this.#groups.get(place.key) ?? this.#open(place);
      known.members.add(member);
      return known;
    };
    return {
      knows: (path) => kindOf(path, place.kinds) !== undefined,
      of: async (path): Promise<ServedFile> => {
        if (left) throw new GuildError("unavailable", "the session has left its language servers");
        return { ...(await group().servers.of(path)), holder: member };
      },
      leave: async () => {
        left = true;
        const known = this.#groups.get(place.key);
        if (known === undefined || !known.members.delete(member)) return;
        if (known.members.size > 0) await known.servers.forget(member);
        else await this.#end(place.key, known);
      },
    };
  }

  /** Places in which servers are, with how many sessions have them. */
  get places(): number[] {
    return [...this.#groups.values()].map(({ members }) => members.size);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#groups].map(([key, group]) => this.#end(key, group)));
  }

  #open({ key, watched, kinds, programs, open }: SharedPlace): Group {
    const sandbox = open();
    const group: Group = { sandbox, servers: new LanguageServers({ sandbox, watched, kinds, programs }), members: new Set() };
    this.#groups.set(key, group);
    // One that does not come up, or ends, is another's to make anew; whoever asked is told.
    const fall = async (): Promise<void> => {
      if (this.#groups.get(key) === group) await this.#end(key, group);
    };
    sandbox
      .then(({ gone }) => gone)
      .then(fall, fall)
      .catch(() => undefined); // it has ended already
    return group;
  }

  async #end(key: string, { servers, sandbox }: Group): Promise<void> {
    this.#groups.delete(key);
    await servers.close();
    // One that never was needs no end.
    await (await sandbox.catch(() => undefined))?.dispose();
  }
}
