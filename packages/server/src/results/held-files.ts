import { mkdir, readdir, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";

/**
 * Files that agents made and that Guildhall has set aside, because programs of the person would run or obey them: one directory a session. A
 * person sees them in `guild session diff`, and puts them into the workspace with `guild session apply`.
 */
export class HeldFiles {
  readonly #directory: string;
  /** By session: what its model has not been told yet. */
  readonly #untold = new Map<string, string[]>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** `path`: relative to the workspace, without `..`. */
  async hold(session: string, path: string, content: Uint8Array, program: boolean): Promise<void> {
    const file = join(this.#place(session), path);
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    await rm(file, { force: true });
    await writeFile(file, content, { flag: "wx", mode: program ? 0o700 : 0o600, flush: true });
  }

  async list(session: string): Promise<Array<{ path: string; file: string }>> {
    const place = this.#place(session);
    const entries = await readdir(place, { recursive: true, withFileTypes: true }).catch(() => []); // nothing was held
    return entries
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .map((file) => ({ path: relative(place, file), file }));
  }

  async isProgram(file: string): Promise<boolean> {
    return ((await stat(file)).mode & 0o100) !== 0;
  }

  async release(session: string, path: string): Promise<void> {
    await rm(join(this.#place(session), path), { force: true });
  }

  /** Keeps a line for the session's model. */
  tell(session: string, line: string): void {
    const lines = this.#untold.get(session) ?? [];
    this.#untold.set(session, [...lines, line].slice(-20));
  }

  /** What has not been told yet; told from now on. */
  take(session: string): string[] {
    const lines = this.#untold.get(session) ?? [];
    this.#untold.delete(session);
    return lines;
  }

  #place(session: string): string {
    return join(this.#directory, session, "held");
  }
}
