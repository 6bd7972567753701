import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { chown, mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

import { GuildError } from "@guildhall/core";

import { Home, jsonLines, program } from "../cli/guild.ts";
import type { CorpusOptions, Row } from "./corpus.ts";

const run = promisify(execFile);

/** What a program wrote, and how it ended; `timedOut`: it was ended because it would not. */
export interface Ran {
  output: string;
  code: number;
  timedOut: boolean;
}

/** What one attempt has to work with, as whoever calls. */
export interface Field {
  home: Home;
  /** Sandbox provider; empty for a control. */
  provider: string;
  workspace: string;
  /** A file outside that stands for what must not happen: made when a program of the attacker's runs on the host. */
  marker: string;
  /** What must not be seen. */
  canary: string;
  docker: CorpusOptions["docker"];
  /** For the person's home of a control, and what he runs. */
  owner: { uid?: number; gid?: number };
}

/** An attack on the person or on the product around the sandbox: done through `guild`, and without what contains it. */
export interface ProductAttack {
  id: string;
  title: string;
  by: string;
  /** In the workspace beforehand. */
  files?: Record<string, string>;
  /** True: it got through. */
  attempt(field: Field): Promise<boolean>;
  /** The same with naive code in the place of the wall; true: it works. */
  control(field: Field): Promise<boolean>;
  sample?: true;
}

/** Tries them with one daemon; rows as of the others. */
export async function runProduct(attacks: readonly ProductAttack[], options: CorpusOptions, tell: (row: Row) => void): Promise<void> {
  const chosen = attacks.filter(({ id }) => options.ids.includes(id));
  if (chosen.length === 0) return;
  const asRoot = process.geteuid?.() === 0;
  const as = asRoot ? options.nobody : {};
  const canary = `canary-${randomBytes(12).toString("hex")}`;
  const home = new Home(options.directory);
  home.write("guild/config/settings.toml", `[sandbox]\ndocker_host = "${options.docker?.host ?? ""}"\ndocker_runtime = "runc"\n`);
  await run("chmod", ["755", home.directory]);
  try {
    // A secret of the person's own stands in his environment.
    const up = await home.guild(["up"], { env: { ESCAPE_CANARY: canary, OPENAI_API_KEY: canary } });
    if (up.code !== 0) throw new GuildError("internal", up.stderr);
    for (const attack of chosen) {
      const attempt = async (provider: string, owner: Field["owner"], act: (field: Field) => Promise<boolean>): Promise<boolean> => {
        const mark = `33${randomBytes(6).readUIntBE(0, 6)}`;
        const place = join(options.directory, `product-${mark}`);
        const workspace = join(place, "workspace");
        await mkdir(workspace, { recursive: true });
        for (const [name, text] of Object.entries(attack.files ?? {})) {
          await mkdir(dirname(join(workspace, name)), { recursive: true });
          await writeFile(join(workspace, name), text);
        }
        if (owner.uid !== undefined && owner.gid !== undefined) {
          await chown(place, owner.uid, owner.gid);
          await run("chown", ["-R", `${owner.uid}:${owner.gid}`, workspace]);
        }
        return await act({ home, provider, workspace, marker: join(place, "marker"), canary, docker: options.docker, owner });
      };
      const through: Row["through"] = {};
      for (const provider of options.providers) through[provider] = await attempt(provider, {}, (field) => attack.attempt(field));
      const control = await attempt("", as, (field) => attack.control(field));
      tell({ attack: attack.id, caller: asRoot ? "root" : "user", through, control });
    }
  } finally {
    await home.remove();
  }
}

/** Lets the agent run commands by its bash tool; returns the session and all that `guild run --json` said. Throws when it did not come to its end. */
export async function agent(field: Field, commands: readonly string[], summary = "done"): Promise<{ id: string; output: string }> {
  const script = scriptOf(field, commands, summary);
  const { code, stdout, stderr } = await field.home.guild([...runArguments(field, script), "--json"]);
  if (code !== 0) throw new GuildError("internal", `guild run ended with ${code}: ${stdout}${stderr}`);
  return { id: String(jsonLines(stdout)[0]?.["id"]), output: stdout + stderr };
}

/** A model that has these commands run. */
export function scriptOf(field: Field, commands: readonly string[], summary: string): string {
  const steps = commands.map((command) => ({ calls: [{ tool: "bash", args: { command } }] }));
  const finish = { calls: [{ tool: "finish", args: { done: true, summary } }] };
  const name = `script-${randomBytes(6).toString("hex")}.json`;
  return field.home.write(name, JSON.stringify({ description: "Attacks.", steps: [...steps, finish] }));
}

export function runArguments({ workspace, provider }: Field, script: string): string[] {
  return ["run", "Attack.", "--workspace", workspace, "--sandbox", provider, "--model", `scripted:${script}`, "--yes"];
}

/** The person's own bash, in the workspace. */
export function person(field: Field, script: string, env: Record<string, string> = {}): Promise<Ran> {
  return ran("bash", ["-c", script], field, env);
}

/** `guild` at a terminal; what the terminal is sent. */
export function atTerminal(field: Field, args: readonly string[]): Promise<Ran> {
  const quoted = [process.execPath, program, ...args].map((one) => `'${one.replaceAll("'", "'\\''")}'`).join(" ");
  return ran("script", ["-qefc", quoted, "/dev/null"], field, { ...field.home.env, TERM: "xterm" });
}

/** A program on the host, in the workspace, with little in its environment. It may fail: what matters is what it does. */
export async function ran(
  command: string,
  args: readonly string[],
  { workspace, owner }: Field,
  env: Record<string, string> = {},
  timeout = 90_000,
): Promise<Ran> {
  const { PATH = "" } = process.env;
  const options = { cwd: workspace, env: { PATH, HOME: workspace, ...env }, timeout, maxBuffer: 64 << 20, ...owner };
  try {
    const { stdout, stderr } = await run(command, args, options);
    return { output: stdout + stderr, code: 0, timedOut: false };
  } catch (error) {
    const { stdout = "", stderr = "", code, killed } = error as { stdout?: string; stderr?: string; code?: unknown; killed?: boolean };
    return { output: stdout + stderr, code: typeof code === "number" ? code : 1, timedOut: killed === true };
  }
}

/** Everything that the product shows and keeps of a session but the files themselves: events, export, texts for a person, logs. */
export async function traces({ home }: Field, id: string): Promise<string> {
  const shown: string[] = [];
  for (const args of [
    ["events", id, "--json"],
    ["events", id],
    ["show", id],
    ["export", id],
  ]) {
    const { stdout, stderr } = await home.guild(["session", ...args]);
    shown.push(stdout, stderr);
  }
  const { stdout } = await run("bash", [
    "-c",
    'cat "$0"/state/*.log "$0"/state/*/*.log 2>/dev/null || true',
    join(home.directory, "guild"),
  ]);
  return shown.join("") + stdout;
}

/** A thing that the agent leaves in the workspace and a program of the person's runs or obeys: through when the marker stands. */
export function plant(commands: (marker: string) => string[], afterwards: string): Pick<ProductAttack, "attempt" | "control"> {
  const after = async (field: Field): Promise<boolean> => {
    await person(field, afterwards);
    return existsSync(field.marker);
  };
  return {
    async attempt(field) {
      await agent(field, commands(field.marker));
      return await after(field);
    },
    async control(field) {
      for (const command of commands(field.marker)) await person(field, command);
      return await after(field);
    },
  };
}
