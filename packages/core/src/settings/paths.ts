export { buildVersion, VERSION } from "./version.ts";
import { createHash } from "node:crypto";
import { lstatSync, mkdirSync } from "node:fs";
import { isAbsolute, join } from "node:path";

import { GuildError } from "../errors.ts";

/** Where one person's Guildhall keeps what. Two people, or two data directories, never share any of these. */
export interface Paths {
  /** `settings.toml` and `policy.toml`. */
  config: string;
  /** Database, blobs, checkpoints, workspaces of forks. */
  data: string;
  /** Logs and the like: may be deleted at any time. */
  state: string;
  /** Sockets; 0700 and owned by the person. */
  runtime: string;
  settingsFile: string;
  socket: string;
  /** Held by the running daemon: there is one a data directory. */
  lock: string;
  log: string;
  /** Token of the TCP address, 0600. */
  token: string;
}

/** The identity and environment that paths follow from. */
export interface PathsInput {
  env: Readonly<Record<string, string | undefined>>;
  home: string;
  uid: number;
  tmp: string;
}

/** Longest path that a Unix socket may have on Linux; macOS takes 103. */
const longestSocketPath = 103;

/**
 * XDG base directories (relative ones are ignored, as the specification says); `GUILD_HOME` puts everything but sockets into one folder. The runtime directory is named after the data directory, so that
 * there is one daemon a data directory. Touches no disk. Throws
 * `invalid_argument` for a relative `GUILD_HOME`.
 */
export function resolvePaths(input: PathsInput): Paths {
  const { env, home, uid, tmp } = input;
  const own = env["GUILD_HOME"] === "" ? undefined : env["GUILD_HOME"];
  if (own !== undefined && !isAbsolute(own)) {
    throw new GuildError("invalid_argument", "GUILD_HOME is no absolute path", { subject: own, remedy: "give the full path" });
  }
  const base = (variable: string, fallback: string): string => join(absolute(env[variable]) ?? join(home, fallback), "guildhall");
  const config = own === undefined ? base("XDG_CONFIG_HOME", ".config") : join(own, "config");
  const data = own === undefined ? base("XDG_DATA_HOME", ".local/share") : join(own, "data");
  const state = own === undefined ? base("XDG_STATE_HOME", ".local/state") : join(own, "state");
  const runtime = runtimeDirectory(absolute(env["XDG_RUNTIME_DIR"]), tmp, uid, data);
  return {
    config,
    data,
    state,
    runtime,
    settingsFile: join(config, "settings.toml"),
    socket: join(runtime, "daemon.sock"),
    lock: join(data, "daemon.lock"),
    log: join(state, "daemon.log"),
    token: join(data, "token"),
  };
}

/**
 * Makes the runtime directory, 0700. Throws `permission_denied` when something of that name belongs to somebody else or is open to
 * others: a socket in it could be theirs.
 */
export function ensureRuntimeDirectory(paths: Paths, uid: number): void {
  for (const directory of ownedParents(paths.runtime)) {
    mkdirSync(directory, { mode: 0o700, recursive: true });
    const stat = lstatSync(directory);
    if (!stat.isDirectory() || stat.uid !== uid || (stat.mode & 0o077) !== 0) {
      throw new GuildError("permission_denied", "the runtime directory is not yours alone", {
        subject: directory,
        remedy: "remove it, or set XDG_RUNTIME_DIR to a directory that only you can enter",
      });
    }
  }
}

function runtimeDirectory(xdg: string | undefined, tmp: string, uid: number, data: string): string {
  const name = createHash("sha256").update(data).digest("hex").slice(0, 8);
  const preferred = xdg === undefined ? undefined : join(xdg, "guildhall", name);
  if (preferred !== undefined && `${preferred}/.s.PGSQL.5432`.length <= longestSocketPath) return preferred;
  return join(tmp, `guildhall-${uid}`, name);
}

/** The directory and the parent that is ours too (`guildhall`, `guildhall-<uid>`). */
function ownedParents(runtime: string): string[] {
  return [join(runtime, ".."), runtime];
}

function absolute(path: string | undefined): string | undefined {
  return path !== undefined && isAbsolute(path) ? path : undefined;
}
