import { statSync } from "node:fs";
import { join } from "node:path";

import type { Settings } from "@guildhall/core/settings";
import type { NixSetup } from "@guildhall/environment";

/** An id that no distribution hands out, beside that of sandboxes: who evaluates and builds is neither root nor a session. */
const BUILDER = { uid: 60790, gid: 60790 };

const DAEMON_SOCKET = "/nix/var/nix/daemon-socket/socket";

/**
 * How Nix is run here: through its daemon where one listens, else over a store of our own; for root as a user of its own, for others as
 * themselves.
 */
export function nixSetup(options: { settings: Settings["environment"]; dataDir: string; uid: number }): NixSetup {
  const { settings, dataDir, uid } = options;
  const given = settings.nix_store;
  const directory = given !== "" ? given : uid === 0 ? "/var/lib/guildhall-nix" : join(dataDir, "nix");
  const daemon = given === "" && statSync(DAEMON_SOCKET, { throwIfNoEntry: false })?.isSocket() === true;
  return {
    command: [settings.nix_program === "" ? "nix" : settings.nix_program],
    directory,
    storeRoot: daemon ? undefined : join(directory, "root"),
    user: uid === 0 ? BUILDER : undefined,
    substituters: settings.nix_substituters,
    trustedKeys: settings.nix_trusted_keys,
    inputs: settings.nix_inputs,
    timeoutMs: settings.timeout_seconds === 0 ? 2 ** 31 - 1 : settings.timeout_seconds * 1_000,
  };
}
