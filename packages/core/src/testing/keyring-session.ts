import { type ChildProcess, type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { setTimeout } from "node:timers/promises";

import { GuildError } from "../errors.ts";

/** A session bus with a real, unlocked GNOME Keyring on it, apart from everybody's own. */
export interface KeyringSession {
  /** What a program needs to find it. */
  readonly env: Record<string, string>;
  close(): Promise<void>;
}

/** Starts both as children. Throws when Debian's `dbus-daemon` or `gnome-keyring` are not there. */
export async function startKeyringSession(): Promise<KeyringSession> {
  const home = mkdtempSync(join(tmpdir(), "guild-keyring-"));
  chmodSync(home, 0o700);
  const children: ChildProcess[] = [];
  const base = { PATH: process.env["PATH"] ?? "", HOME: home, XDG_RUNTIME_DIR: home, XDG_DATA_HOME: home };
  const close = async (): Promise<void> => {
    for (const child of children.toReversed()) {
      for (const stream of [child.stdin, child.stdout]) stream?.destroy();
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
    }
    rmSync(home, { recursive: true, force: true });
  };
  const start = (program: string, args: string[], env: Record<string, string>): ChildProcessByStdio<Writable, Readable, null> => {
    const child = spawn(program, args, { env, cwd: home, stdio: ["pipe", "pipe", "ignore"] });
    // What keeps it from starting shows in that nothing answers.
    child.on("error", () => undefined);
    child.stdin.on("error", () => undefined);
    children.push(child);
    return child;
  };
  try {
    // Without the system's service files: nobody starts another keyring while ours is on its way.
    writeFileSync(join(home, "bus.conf"), configuration(home));
    const bus = start("dbus-daemon", [`--config-file=${join(home, "bus.conf")}`, "--nofork", "--print-address"], base);
    const [address] = (await Promise.race([once(bus.stdout.setEncoding("utf8"), "data"), once(bus, "exit").then(() => [""])])) as [string];
    const env = { ...base, DBUS_SESSION_BUS_ADDRESS: address.trim() };
    start("gnome-keyring-daemon", ["--foreground", "--unlock", "--components=secrets"], env).stdin.end("password");
    for (let left = 100; !(await answers(env)); left -= 1) {
      if (left === 0) throw new GuildError("unavailable", "no keyring came up", { remedy: "tools/set-up --for-tests" });
      await setTimeout(100);
    }
    return { env, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function answers(env: Record<string, string>): Promise<boolean> {
  const asked = spawn("secret-tool", ["lookup", "application", "nothing"], { env, stdio: ["ignore", "ignore", "pipe"], timeout: 10_000 });
  let complaint = "";
  asked.stderr.setEncoding("utf8").on("data", (text: string) => void (complaint += text));
  const [code] = (await Promise.race([once(asked, "close"), once(asked, "error").then(() => [-1])])) as [number | null];
  return code === 1 && complaint === "";
}

function configuration(home: string): string {
  return `<busconfig><type>session</type><listen>unix:dir=${home}</listen><auth>EXTERNAL</auth><policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>`;
}
