import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { root } from "../cli/guild.ts";

/** The release before this one. To be raised with each release. */
const FORMER = "97f4380b3da16259b737b6bec623c3afb391aa8c";

/**
 * The former release, from this checkout's history: its sources and native parts, with the packages that are installed for ours. Throws where the
 * history does not go back so far.
 */
export function formerRelease(): { program: string; remove(): void } {
  const tree = mkdtempSync(join(tmpdir(), "guild-former-"));
  const archive = execFileSync("git", ["archive", FORMER], { cwd: root, maxBuffer: 1 << 30 });
  execFileSync("tar", ["x", "-C", tree], { input: archive });
  const modules = join(tree, "node_modules");
  mkdirSync(join(modules, "@guildhall"), { recursive: true });
  for (const name of readdirSync(join(root, "node_modules")))
    if (name !== "@guildhall") symlinkSync(join(root, "node_modules", name), join(modules, name));
  for (const name of readdirSync(join(tree, "packages"))) symlinkSync(join(tree, "packages", name), join(modules, "@guildhall", name));
  execFileSync("bash", [join(tree, "packages/sandbox/native/build.sh")], { stdio: "ignore" });
  symlinkSync(join(root, "packages/knowledge/build"), join(tree, "packages/knowledge/build"));
  return { program: join(tree, "packages/cli/src/main.ts"), remove: () => rmSync(tree, { recursive: true, force: true }) };
}
