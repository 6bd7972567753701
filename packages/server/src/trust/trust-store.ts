import { randomBytes } from "node:crypto";
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";

import { GuildError } from "@guildhall/core";
import { z } from "zod";

import { readConfiguration, UNKNOWN } from "./configuration.ts";

/** A directory's configuration against what a person has trusted. */
export interface Trust {
  directory: string;
  state: "nothing" | "untrusted" | "trusted" | "changed";
  digest: string;
  files: Array<{ path: string; digest: string; state: "same" | "changed" | "new" | "gone" }>;
}

/** The policy of a project that counts now, with where it comes from. */
export interface TrustedPolicy {
  state: Trust["state"];
  /** Trusted text; undefined: there is none. After a change still the text that was trusted: what narrowed goes on narrowing. */
  policy: string | undefined;
}

const recordSchema = z.strictObject({
  digest: z.string(),
  files: z.array(z.strictObject({ path: z.string(), digest: z.string() })),
  policy: z.string().optional(),
  time: z.string(),
});
const fileSchema = z.strictObject({ format: z.literal(1), directories: z.record(z.string(), recordSchema) });
type Records = z.output<typeof fileSchema>["directories"];

/** Which projects' own configuration counts, by exact digest; one file, written whole and atomically. */
export class TrustStore {
  readonly #file: string;
  readonly #now: () => Date;
  #known: Records | undefined;

  constructor(options: { file: string; now(): Date }) {
    this.#file = options.file;
    this.#now = options.now;
  }

  /** `directory`: a real path. */
  show(directory: string): Trust {
    const { digest, files } = readConfiguration(directory);
    const record = this.#records()[directory];
    const before = new Map(record?.files.map((file) => [file.path, file.digest]));
    const present = files.map((file) => {
      const old = before.get(file.path);
      return { ...file, state: old === undefined ? ("new" as const) : old === file.digest ? ("same" as const) : ("changed" as const) };
    });
    const here = new Set(files.map(({ path }) => path));
    const gone = [...before].filter(([path]) => !here.has(path)).map(([path, old]) => ({ path, digest: old, state: "gone" as const }));
    return { directory, digest, files: [...present, ...gone], state: stateOf(digest, record?.digest) };
  }

  /**
   * Trusts what is there. `check` sees the policy first and throws when it is wrong. Where there is nothing, a person vouches for the directory as it
   * is: its text counts as his, and what comes later asks. Throws `failed_precondition` when it is not what the person saw (`digest`).
   */
  add(directory: string, digest: string, check: (policy: string) => void): Trust {
    const found = readConfiguration(directory);
    if (digest !== "" && digest !== found.digest) {
      throw new GuildError("failed_precondition", "the configuration has changed since it was shown", {
        subject: directory,
        remedy: "look again: guild trust show",
      });
    }
    const unknown = found.files.find((file) => file.digest === UNKNOWN);
    if (unknown !== undefined) {
      throw new GuildError("failed_precondition", `its environment is made of ${unknown.path}, which cannot be looked through`, {
        subject: directory,
        remedy: "name another environment: guild env set, or [environment] source in settings.toml",
      });
    }
    if (found.policy !== undefined) check(found.policy);
    const { files, policy } = found;
    this.#change((records) => ({
      ...records,
      [directory]: { digest: found.digest, files, time: this.#now().toISOString(), ...(policy === undefined ? {} : { policy }) },
    }));
    return this.show(directory);
  }

  revoke(directory: string): Trust {
    this.#change((records) => Object.fromEntries(Object.entries(records).filter(([path]) => path !== directory)));
    return this.show(directory);
  }

  /** What counts of a directory's policy now. */
  policyOf(directory: string): TrustedPolicy {
    const record = this.#records()[directory];
    const { digest } = readConfiguration(directory);
    return { state: stateOf(digest, record?.digest), policy: record?.policy };
  }

  #records(): Records {
    return (this.#known ??= load(this.#file));
  }

  #change(edit: (records: Records) => Records): void {
    const records = edit(this.#records());
    const temporary = `${this.#file}.${randomBytes(6).toString("hex")}`;
    const fd = openSync(temporary, "wx", 0o600);
    try {
      writeSync(fd, `${JSON.stringify({ format: 1, directories: records }, undefined, 1)}\n`);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, this.#file);
    this.#known = records;
  }
}

function stateOf(digest: string, trusted: string | undefined): Trust["state"] {
  if (trusted === undefined) return digest === "" ? "nothing" : "untrusted";
  return digest === trusted ? "trusted" : "changed";
}

function load(file: string): Records {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return {};
    throw error;
  }
  try {
    return fileSchema.parse(JSON.parse(text)).directories;
  } catch (error) {
    throw new GuildError("corrupt", "the list of trusted projects cannot be read", {
      subject: file,
      remedy: "remove it, and trust your projects again: guild trust add",
      cause: error,
    });
  }
}
