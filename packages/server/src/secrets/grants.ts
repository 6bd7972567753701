import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

import { GuildError, type SecretRule } from "@guildhall/core";
import { z } from "zod";

/** Who may use a secret, and where its value may go. */
export interface Grant extends SecretRule {
  id: string;
  /** Real path; only sandboxes over this directory. Undefined: any. */
  project?: string | undefined;
  /** Undefined: any. */
  session?: string | undefined;
}

const host = /^(\*\.)?([a-z0-9_]([a-z0-9_-]*[a-z0-9_])?\.)*[a-z]([a-z0-9-]*[a-z0-9])?$/;
const text = z.string().min(1).max(500);
const grantSchema = z.strictObject({
  id: text,
  secret: text,
  host: z.string().regex(host, 'must be a name in lower case ("api.example.com"), or "*.example.com"'),
  methods: z
    .array(z.string().regex(/^[A-Z]+$/, 'must be in upper case: "GET"'))
    .min(1)
    .optional(),
  paths: z.array(z.string().regex(/^[/*]/, 'must begin with "/" or "*"')).min(1).optional(),
  env: z
    .string()
    .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "must be the name of a variable")
    .optional(),
  project: text.optional(),
  session: text.optional(),
});
const fileSchema = z.strictObject({ format: z.literal(1), grants: z.array(grantSchema) });

/** Grants that a person has given by hand; one file without values, written whole and atomically. */
export class GrantStore {
  readonly #file: string;
  #known: Grant[] | undefined;

  constructor(file: string) {
    this.#file = file;
  }

  list(): readonly Grant[] {
    return (this.#known ??= load(this.#file));
  }

  /** Throws `invalid_argument`. The same grant a second time is the first. */
  add(grant: Omit<Grant, "id">): Grant {
    const made = grantSchema.safeParse({ ...grant, id: `grt_${randomBytes(8).toString("hex")}` });
    if (!made.success) {
      const [issue] = made.error.issues;
      throw new GuildError("invalid_argument", `${issue?.path.join(".") ?? "grant"}: ${issue?.message ?? "wrong"}`, {
        remedy: "guild secret grant --help",
      });
    }
    const plain = (one: object): string => JSON.stringify({ ...one, id: "" }, Object.keys(grantSchema.shape));
    const same = this.list().find((one) => plain(one) === plain(made.data));
    if (same !== undefined) return same;
    const added = withoutUndefined(made.data);
    this.#write([...this.list(), added]);
    return added;
  }

  /** All grants of a secret, or one of them; returns how many there were. */
  revoke(secret: string, id: string): number {
    const kept = this.list().filter((one) => one.secret !== secret || (id !== "" && one.id !== id));
    const revoked = this.list().length - kept.length;
    if (revoked > 0) this.#write(kept);
    return revoked;
  }

  /** Those that hold for a sandbox. */
  for(workspace: string, session: string | undefined): Grant[] {
    return this.list().filter(
      (one) => (one.project === undefined || one.project === workspace) && (one.session === undefined || one.session === session),
    );
  }

  #write(grants: readonly Grant[]): void {
    mkdirSync(dirname(this.#file), { recursive: true, mode: 0o700 });
    const temporary = `${this.#file}.${randomBytes(6).toString("hex")}`;
    writeFileSync(temporary, `${JSON.stringify({ format: 1, grants }, undefined, 1)}\n`, { flag: "wx", mode: 0o600, flush: true });
    renameSync(temporary, this.#file);
    this.#known = [...grants];
  }
}

function withoutUndefined(grant: z.output<typeof grantSchema>): Grant {
  return Object.fromEntries(Object.entries(grant).filter(([, value]) => value !== undefined)) as unknown as Grant;
}

function load(file: string): Grant[] {
  let content: string;
  try {
    content = readFileSync(file, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  }
  try {
    return fileSchema.parse(JSON.parse(content)).grants.map(withoutUndefined);
  } catch (error) {
    throw new GuildError("corrupt", "the grants of secrets cannot be read", {
      subject: file,
      remedy: "remove it, and grant again: guild secret grant",
      cause: error,
    });
  }
}
