import { lstat, mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";

import { gitObjectId } from "@guildhall/core";
import { z } from "zod";

/**
 * Files that agents made and that Guildhall has set aside, because programs of the person would run or obey them: one directory a session. A
 * person sees them in `guild session diff`, and puts them into the workspace with `guild session apply`.
 */
export class HeldFiles {
  readonly #directory: string;
  /** By session: what its model has not been told yet. */
  readonly #untold = new Map<string, string[]>();

  /** What persons have put in place, by session and path: the id of its content. */
  readonly #approved = new Map<string, string>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  /**
   * `path`: relative to the workspace, without `..`. `onto`: the file in the workspace whose place it would take, as a checkpoint names it. What was
   * held where this one has a directory, or below it, goes: in a workspace they could not be together either.
   */
  async hold(session: string, path: string, content: Uint8Array, program: boolean, onto?: { mode: number; id: string }): Promise<void> {
    const base = join(this.#bases(session), path);
    for (const place of [this.#bases(session), this.#place(session)]) await makeRoom(place, path);
    if (onto !== undefined) {
      await mkdir(dirname(base), { recursive: true, mode: 0o700 });
      await writeFile(base, JSON.stringify(onto), { mode: 0o600, flush: true });
    }
    const file = join(this.#place(session), path);
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    await writeFile(file, content, { flag: "wx", mode: program ? 0o700 : 0o600, flush: true });
  }

  /** A person has put this content in place: it is not set aside again. */
  approve(session: string, path: string, id: string): void {
    this.#approved.set(`${session}/${path}`, id);
  }

  isApproved(session: string, path: string, content: Uint8Array): boolean {
    return this.#approved.get(`${session}/${path}`) === gitObjectId("blob", content);
  }

  async list(session: string): Promise<Array<{ path: string; file: string }>> {
    const place = this.#place(session);
    const entries = await readdir(place, { recursive: true, withFileTypes: true }).catch(() => []); // nothing was held
    return entries
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .map((file) => ({ path: relative(place, file), file }));
  }

  /** The file in the workspace whose place a held one would take; undefined: there is none. */
  async onto(session: string, path: string): Promise<{ mode: number; id: string } | undefined> {
    const text = await readFile(join(this.#bases(session), path), "utf8").catch(() => undefined); // held for its name, not for its content
    return text === undefined ? undefined : ontoSchema.parse(JSON.parse(text));
  }

  /** Content of a held file; undefined: none is held at that path. */
  async textOf(session: string, path: string): Promise<string | undefined> {
    return await readFile(join(this.#place(session), path), "utf8").catch(() => undefined); // nothing is held
  }

  async isProgram(file: string): Promise<boolean> {
    return ((await stat(file)).mode & 0o100) !== 0;
  }

  async release(session: string, path: string): Promise<void> {
    await rm(join(this.#place(session), path), { force: true });
    await rm(join(this.#bases(session), path), { force: true });
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

  #bases(session: string): string {
    return join(this.#directory, session, "held-onto");
  }
}

async function makeRoom(place: string, path: string): Promise<void> {
  const parts = path.split("/");
  for (const [index] of parts.entries()) {
    const at = join(place, ...parts.slice(0, index + 1));
    const there = await lstat(at).catch(() => undefined); // nothing is there
    if (there === undefined) return;
    if (!there.isDirectory() || index === parts.length - 1) return await rm(at, { recursive: true, force: true });
  }
}

const ontoSchema = z.strictObject({ mode: z.int(), id: z.string() });
