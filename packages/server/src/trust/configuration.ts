import { createHash, hash } from "node:crypto";
import { closeSync, constants, fstatSync, lstatSync, openSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";

import { GuildError } from "@guildhall/core";

import { nixImports } from "./nix-imports.ts";

/** Digest of what is too much to be looked through: never trusted. */
export const UNKNOWN = "";

/** What a directory brings along that would have an effect on Guildhall: policy, hooks, tools, MCP servers, roles, environments. */
export interface Configuration {
  /** Of all files together: names, kinds, modes, content. Empty: there is nothing. */
  digest: string;
  /** Relative paths in order. */
  files: Array<{ path: string; digest: string }>;
  /** Text of `.guildhall/policy.toml`, read once: what was digested is what is parsed. */
  policy: string | undefined;
}

export const PROJECT_DIRECTORY = ".guildhall";
export const PROJECT_POLICY = ".guildhall/policy.toml";

/** Files beside `.guildhall` that make an environment. */
const NIX = ["flake.nix", "shell.nix", "default.nix"];
const BESIDE = [...NIX, "flake.lock", ".devcontainer.json", ".devcontainer"];

const MOST_FILES = 2_000;
const LARGEST_FILE = 1024 * 1024;
/** Nix code may be generated. */
const LARGEST_NIX = 16 * LARGEST_FILE;

/**
 * Reads it all without following a link: a link counts by where it points, and its target has no effect. Throws `failed_precondition` for
 * more than can be looked through.
 */
export function readConfiguration(directory: string): Configuration {
  const files: Configuration["files"] = [];
  let policy: string | undefined;
  const look = (path: string): void => {
    const full = join(directory, path);
    const found = lstatSync(full, { throwIfNoEntry: false });
    if (found === undefined) return;
    if (found.isDirectory()) {
      for (const name of readdirSync(full).toSorted()) look(`${path}/${name}`);
      return;
    }
    if (files.length >= MOST_FILES) throw tooMuch(path, `more than ${MOST_FILES} files`);
    if (found.isSymbolicLink()) {
      files.push({ path, digest: digestOf("link", readlinkSync(full)) });
      return;
    }
    if (!found.isFile()) throw tooMuch(path, "something that is no file");
    const { content, executable } = readWhole(full, path, path.endsWith(".nix") ? LARGEST_NIX : LARGEST_FILE);
    if (path === PROJECT_POLICY) policy = content.toString("utf8");
    files.push({ path, digest: digestOf(executable ? "program" : "file", content) });
  };
  for (const path of [PROJECT_DIRECTORY, ...BESIDE]) look(path);
  const entries = files.map(({ path }) => path).filter((path) => NIX.includes(path));
  const imports = nixImports(directory, entries, MOST_FILES);
  // Such a project can be worked in; what it brings cannot be trusted.
  if (imports.length > MOST_FILES) files.push({ path: `more than ${MOST_FILES} Nix files`, digest: UNKNOWN });
  else for (const path of imports) look(path);
  const lines = files.map(({ path, digest }) => `${JSON.stringify(path)} ${digest}\n`).join("");
  return { digest: files.length === 0 ? "" : `sha256:${hash("sha256", lines, "hex")}`, files, policy };
}

/** The content of one file, if it is the very file that `digest` (as above) was made of. A link never is. */
export function readIfSame(directory: string, path: string, digest: string): Buffer | undefined {
  const full = join(directory, path);
  if (lstatSync(full, { throwIfNoEntry: false })?.isFile() !== true) return undefined;
  const { content, executable } = readWhole(full, path, LARGEST_FILE);
  return digestOf(executable ? "program" : "file", content) === digest ? content : undefined;
}

function readWhole(full: string, path: string, largest: number): { content: Buffer; executable: boolean } {
  const fd = openSync(full, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const { size, mode } = fstatSync(fd);
    if (size > largest) throw tooMuch(path, `a file of more than ${largest} bytes`);
    return { content: readFileSync(fd), executable: (mode & 0o111) !== 0 };
  } finally {
    closeSync(fd);
  }
}

function digestOf(kind: string, content: string | Uint8Array): string {
  return `sha256:${createHash("sha256").update(`${kind}\n`).update(content).digest("hex")}`;
}

function tooMuch(path: string, what: string): GuildError {
  return new GuildError("failed_precondition", `the project's configuration holds ${what} and cannot be trusted`, {
    subject: path,
    remedy: `keep only small files in ${PROJECT_DIRECTORY}`,
  });
}
