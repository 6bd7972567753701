import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { lstat, realpath } from "node:fs/promises";
import { join, sep } from "node:path";

import { type ProjectIdentity, projectIdentity, type SessionRecord } from "@guildhall/core";
import { type Knowledge, ScopeKind } from "@guildhall/protocol";

import { Projects } from "./projects.ts";

const LARGEST = 64 * 2 ** 20;
/** A project that is not known now may be tomorrow, milliseconds. */
const ASK_EVERY_MS = 30_000;

/** Tells whether the files that a fact rests on are as they were. Digests are kept by size and time of change: asking again costs a look at the file. */
export class EvidenceFiles {
  readonly #digests = new Map<string, { stamp: string; digest: string }>();
  readonly #workspaces = new Map<string, string>();
  readonly #sessions: () => Promise<readonly Pick<SessionRecord, "workspace">[]>;
  readonly #projects: Projects;
  #asked = -Infinity;

  /** `sessions`: newest ones, which tell where projects are. */
  constructor(sessions: () => Promise<readonly Pick<SessionRecord, "workspace">[]>, projects = new Projects()) {
    this.#sessions = sessions;
    this.#projects = projects;
  }

  /** The project is there; of several copies of one the last that was used tells. */
  async learn(workspace: string): Promise<ProjectIdentity> {
    return this.#lies(workspace, await this.#projects.identify(workspace));
  }

  /** The same for a directory in which a person is, looked at anew: it may become a repository the next moment, and a session then is to see that. */
  async visit(workspace: string): Promise<void> {
    this.#lies(workspace, await projectIdentity(workspace));
  }

  #lies(workspace: string, identity: ProjectIdentity): ProjectIdentity {
    for (const name of [identity.name, identity.byPath]) this.#workspaces.set(name, workspace);
    return identity;
  }

  /** False where the project is not on this machine: nothing is known to have changed. */
  async changed({ scope, evidence }: Knowledge): Promise<boolean> {
    const files = evidence.flatMap(({ kind }) => (kind.case === "file" && kind.value.digest !== "" ? [kind.value] : []));
    if (files.length === 0 || scope?.kind !== ScopeKind.PROJECT) return false;
    const workspace = await this.#workspace(scope.id);
    if (workspace === undefined) return false;
    for (const { path, digest } of files) if ((await this.#digest(workspace, path)) !== digest) return true;
    return false;
  }

  async #workspace(project: string): Promise<string | undefined> {
    if (!this.#workspaces.has(project) && performance.now() - this.#asked > ASK_EVERY_MS) {
      this.#asked = performance.now();
      const workspaces = new Set((await this.#sessions()).map(({ workspace }) => workspace));
      // The newest come first, and the last that is learned tells.
      for (const workspace of [...workspaces].toReversed()) await this.learn(workspace);
    }
    const workspace = this.#workspaces.get(project);
    return workspace === undefined ? undefined : await realpath(workspace).catch(() => undefined); // Gone: nothing is known.
  }

  /** Empty for what is gone, is no plain file, or lies outside of the project by whatever link. */
  async #digest(workspace: string, path: string): Promise<string> {
    const file = await realpath(join(workspace, path)).catch(() => ""); // Gone, which is a change.
    if (!file.startsWith(workspace + sep)) return "";
    const stat = await lstat(file, { bigint: true }).catch(() => undefined); // The same.
    if (stat === undefined || !stat.isFile() || stat.size > LARGEST) return "";
    const stamp = `${stat.ino} ${stat.mtimeNs} ${stat.size}`;
    const known = this.#digests.get(file);
    if (known?.stamp === stamp) return known.digest;
    const hash = createHash("sha256");
    for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
    const digest = `sha256:${hash.digest("hex")}`;
    if (this.#digests.size > 10_000) this.#digests.clear();
    this.#digests.set(file, { stamp, digest });
    return digest;
  }
}
