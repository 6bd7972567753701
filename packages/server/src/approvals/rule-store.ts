import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

import { type ApprovalRule, GuildError } from "@guildhall/core";
import { z } from "zod";

const text = z.string().min(1);
const savedSchema = z.strictObject({
  id: text,
  text,
  tool: text,
  digest: z.string().regex(/^sha256:[0-9a-f]{64}$/),
  workspace: text,
  /** Undefined: every session in the workspace. */
  session: text.optional(),
  saved: text,
});
const fileSchema = z.strictObject({ format: z.literal(1), rules: z.array(savedSchema) });

/** A rule that a person saved with “always”: for one exact action, and for one session unless he said otherwise. */
export type SavedRule = z.output<typeof savedSchema>;

/** The saved rules, in one file that is written whole and atomically. */
export class RuleStore {
  readonly #file: string;
  #known: SavedRule[] | undefined;

  constructor(file: string) {
    this.#file = file;
  }

  list(): readonly SavedRule[] {
    return (this.#known ??= load(this.#file));
  }

  /** The same rule a second time is the first. */
  add(rule: Omit<SavedRule, "id">): SavedRule {
    const same = this.list().find((one) => one.digest === rule.digest && one.session === rule.session && one.workspace === rule.workspace);
    if (same !== undefined) return same;
    const added = { ...rule, id: `rul_${randomBytes(8).toString("hex")}` };
    this.#write([...this.list(), added]);
    return added;
  }

  /** Throws `not_found`. */
  remove(id: string): void {
    const kept = this.list().filter((rule) => rule.id !== id);
    if (kept.length === this.list().length) {
      throw new GuildError("not_found", "there is no such rule", { subject: id, remedy: "guild approval rules list shows them" });
    }
    this.#write(kept);
  }

  /** Those that hold for a session. */
  for(workspace: string, session: string): ApprovalRule[] {
    return this.list()
      .filter((rule) => rule.workspace === workspace && (rule.session === undefined || rule.session === session))
      .map(({ id, tool, digest }) => ({ name: id, decide: "allow", tool, digest }));
  }

  #write(rules: readonly SavedRule[]): void {
    mkdirSync(dirname(this.#file), { recursive: true, mode: 0o700 });
    const temporary = `${this.#file}.${randomBytes(6).toString("hex")}`;
    writeFileSync(temporary, `${JSON.stringify({ format: 1, rules }, undefined, 1)}\n`, { flag: "wx", mode: 0o600, flush: true });
    renameSync(temporary, this.#file);
    this.#known = [...rules];
  }
}

function load(file: string): SavedRule[] {
  let content: string;
  try {
    content = readFileSync(file, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  }
  try {
    return fileSchema.parse(JSON.parse(content)).rules;
  } catch (error) {
    throw new GuildError("corrupt", "the saved rules cannot be read", {
      subject: file,
      remedy: "remove the file; you are asked again, and can save them anew",
      cause: error,
    });
  }
}
