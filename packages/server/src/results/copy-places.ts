import { type EventLog, GuildError, type SessionKey } from "@guildhall/core";

import type { ReviewCopies } from "./review-copies.ts";

/** Whose copy of the workspace a session works in: its own, or that of the session which handed it its work. */
export class CopyPlaces {
  readonly #log: EventLog;

  constructor(log: EventLog) {
    this.#log = log;
  }

  /** Directory of the files that the session works with; made where it is a copy that is not there yet. */
  async open(copies: ReviewCopies, key: SessionKey, workspace: string): Promise<string> {
    // No deeper than work is ever handed on.
    return (await this.#open(copies, key, workspace, 16)) ?? workspace;
  }

  /** Undefined: the workspace itself. */
  async #open(copies: ReviewCopies, key: SessionKey, workspace: string, depth: number): Promise<string | undefined> {
    const [first] = await this.#log.read(key, 1, 1);
    if (first?.body.case !== "sessionStarted" || first.body.value.apply !== "review") return undefined;
    const { delegation } = first.body.value;
    if (delegation === undefined) return await copies.open(key.session, workspace);
    if (depth === 0) throw new GuildError("corrupt", "its work was handed on in a circle", { subject: key.session });
    const parent = { tenant: key.tenant, session: delegation.parentSessionId };
    // What its own copy was made of may have gone since: that one is looked for only to make it.
    if (delegation.ownCopy && copies.has(key.session)) return await copies.open(key.session, workspace);
    const source = await this.#open(copies, parent, workspace, depth - 1);
    return delegation.ownCopy ? await copies.open(key.session, workspace, source) : source;
  }
}
