/** Runs the built programs as a person would: from another directory, with settings and data of their own. Leaves nothing behind. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

const root = dirname(import.meta.dirname);
const home = mkdtempSync(join(tmpdir(), "guildhall-smoke-"));
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
try {
  expect(["--version"], (out) => out.includes(version), `say ${version}`);
  expect(["--help"], (out) => ["run", "session", "tool", "doctor"].every((word) => out.includes(word)), "name its commands");
  expect(["tool", "list", "--json"], (out) => ["bash", "edit", "finish"].every((name) => out.includes(`"${name}"`)), "list the tools");
  expect(["down"], () => true, "end the daemon");
} finally {
  rmSync(home, { recursive: true, force: true });
}

function expect(args: string[], holds: (stdout: string) => boolean, what: string): void {
  const { status, stdout, stderr, error } = spawnSync(process.execPath, [join(root, "dist/guild.js"), ...args], {
    cwd: home,
    encoding: "utf8",
    timeout: 60_000,
    env: { PATH: process.env["PATH"], HOME: home, GUILD_HOME: join(home, "guild"), XDG_RUNTIME_DIR: "" },
  });
  if (status === 0 && holds(stdout)) return;
  console.error(`smoke: guild ${args.join(" ")} did not ${what} (exit ${status})\n${stdout}${stderr}${error?.message ?? ""}`);
  process.exitCode = 1;
}
