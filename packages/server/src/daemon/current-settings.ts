import { statSync } from "node:fs";

import { type ReadSettings, readSettings } from "@guildhall/core/settings";

/** The settings as they are now: the file is read again when it has changed. Throws what `readSettings` throws. */
export function currentSettings(file: string, env: Readonly<Record<string, string | undefined>>): () => ReadSettings {
  let known: { stamp: string; value: ReadSettings } | undefined;
  return () => {
    const stat = statSync(file, { bigint: true, throwIfNoEntry: false });
    const stamp = stat === undefined ? "" : `${stat.ino} ${stat.mtimeNs} ${stat.size}`;
    if (known?.stamp !== stamp) known = { stamp, value: readSettings(file, env) };
    return known.value;
  };
}
