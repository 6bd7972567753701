import { join } from "node:path";

import { GuildError, type Secrets } from "@guildhall/core";
import type { Paths } from "@guildhall/core/paths";
import type { Settings } from "@guildhall/core/settings";

/** What a variable's name begins with that holds a secret. */
const PREFIX = "GUILD_SECRET_";

export interface SecretStoreOptions {
  settings: Omit<Settings["secrets"], "mask_unknown">;
  paths: Pick<Paths, "config" | "data">;
  env: Readonly<Record<string, string | undefined>>;
}

/** Where the encrypted file lies. */
export function secretsFile(paths: Pick<Paths, "data">): string {
  return join(paths.data, "secrets.json");
}

/** The store that the settings name. Throws `failed_precondition` when it cannot be reached with what there is. */
export async function openSecretStore(options: SecretStoreOptions): Promise<Secrets> {
  const { settings, paths, env } = options;
  const { encryptedFileSecrets, environmentSecrets, keyringSecrets, vaultSecrets } = await import("@guildhall/sandbox");
  switch (settings.store) {
    case "file":
      // The key lies apart from the store, so that a copy of the data alone opens nothing.
      return encryptedFileSecrets({ file: secretsFile(paths), keyFile: join(paths.config, "secrets.key") });
    case "environment": {
      const own = Object.entries(env).filter(([name]) => name.startsWith(PREFIX));
      return environmentSecrets(Object.fromEntries(own.map(([name, value]) => [name.slice(PREFIX.length), value])));
    }
    case "keyring": {
      const passed = ["DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR", "XDG_DATA_HOME", "HOME", "PATH", "DISPLAY", "WAYLAND_DISPLAY", "LANG"];
      return keyringSecrets({ env: Object.fromEntries(passed.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]]))) });
    }
    case "vault": {
      const { vault_address: address, vault_mount: mount, vault_path: path } = settings;
      const token = env["VAULT_TOKEN"] ?? "";
      if (address === "" || token === "") {
        throw new GuildError("failed_precondition", "the vault needs an address and a token", {
          subject: address === "" ? "secrets.vault_address" : "VAULT_TOKEN",
          remedy: "set secrets.vault_address, and VAULT_TOKEN in the daemon's environment, then guild down",
        });
      }
      return vaultSecrets({ address, token, mount, path });
    }
    default:
      return settings.store satisfies never;
  }
}
