import { type ProjectIdentity, projectIdentity } from "@guildhall/core";

/** A directory may get a repository, or a repository another address, milliseconds. */
const AGAIN_MS = 5 * 60_000;
const MOST = 1_000;

/** Which projects directories are, looked up seldom. */
export class Projects {
  readonly #known = new Map<string, { at: number; identity: Promise<ProjectIdentity> }>();

  identify(workspace: string): Promise<ProjectIdentity> {
    const known = this.#known.get(workspace);
    if (known !== undefined && performance.now() - known.at < AGAIN_MS) return known.identity;
    if (this.#known.size >= MOST) this.#known.clear();
    const identity = projectIdentity(workspace);
    this.#known.set(workspace, { at: performance.now(), identity });
    return identity;
  }
}
