import { GuildError } from "@guildhall/core";

import { connect, connectToCurrent, type Connection, connectToRunning, shutDown } from "../client/connect.ts";
import type { Context } from "../client/context.ts";
import { examineMachine, runDaemonProgram, startDaemon } from "../client/daemon-process.ts";
import { exitCode } from "../exit.ts";
import { createStyle } from "../output/style.ts";
import { readChunks, writeChunks } from "./history.ts";
import { withConnection } from "./session.ts";

interface JsonOption {
  json?: boolean;
}

/** `guild up`: does nothing when a daemon runs already and listens where it should. */
export async function up(context: Context, options: JsonOption & { listen?: string; foreground?: boolean }): Promise<number> {
  const listen = options.listen === undefined ? [] : ["--listen", options.listen];
  const running = await connectToCurrent(context);
  if (running !== undefined) {
    const listens = options.listen === undefined || running.info.addresses.some((address) => !address.startsWith("unix:"));
    tellAddresses(context, running, options, "already up");
    running.close();
    if (listens && options.foreground !== true) return exitCode.done;
    throw new GuildError("already_exists", "a daemon runs already", { remedy: "stop it first: guild down" });
  }
  if (options.foreground === true) return await runDaemonProgram(context, ["--foreground", ...listen]);
  await startDaemon(context, listen);
  const connection = await connect(context);
  tellAddresses(context, connection, options, "up");
  connection.close();
  return exitCode.done;
}

/** `guild down`: waits until the daemon has ended. Nothing to do is success. */
export async function down(context: Context, options: JsonOption & { now?: boolean }): Promise<number> {
  const connection = await connectToRunning(context);
  if (connection !== undefined) await shutDown(connection, options.now === true);
  const text = connection === undefined ? "not running" : "down";
  context.stdout.write(options.json === true ? `${JSON.stringify({ id: "daemon", type: "daemon", state: text })}\n` : `${text}\n`);
  return exitCode.done;
}

/** `guild doctor`: needs no daemon. Exit code 1 when something does not work. */
export async function doctor(context: Context, options: JsonOption): Promise<number> {
  const style = createStyle(context.color);
  const findings = await examineMachine(context);
  for (const { id, level, text, remedy } of findings) {
    const mark = level === "ok" ? style.good("ok     ") : level === "warning" ? style.warn("warning") : style.bad("problem");
    const line =
      options.json === true
        ? JSON.stringify({ id, type: "finding", level, text, remedy })
        : `${mark} ${text}${remedy === "" ? "" : `\n        → ${remedy}`}`;
    context.stdout.write(`${line}\n`);
  }
  return findings.some((finding) => finding.level === "problem") ? exitCode.failed : exitCode.done;
}

/** `guild config show`: reads the same files as the daemon, and needs none. */
export async function configShow(context: Context, options: JsonOption): Promise<number> {
  const { readSettings } = await import("@guildhall/core/settings");
  const style = createStyle(context.color);
  for (const { key, value, source, description } of readSettings(context.paths.settingsFile, context.env).effective) {
    const line =
      options.json === true
        ? JSON.stringify({ id: key, type: "setting", key, value, source, description })
        : `${key} = ${style.bold(value === "" ? '""' : value)}  ${style.dim(`(${source}) ${description}`)}`;
    context.stdout.write(`${line}\n`);
  }
  return exitCode.done;
}

/** `guild db export`. */
export function databaseExport(context: Context, options: { output?: string }): Promise<number> {
  return withConnection(context, async (connection) => {
    await writeChunks(context, options.output, connection.system.exportDatabase({}));
    return exitCode.done;
  });
}

/** `guild db import`. */
export function databaseImport(context: Context, file: string, options: JsonOption): Promise<number> {
  return withConnection(context, async (connection) => {
    const counts = await connection.system.importDatabase(readChunks(context, file));
    const { sessions, events, blobs } = { sessions: counts.sessions, events: Number(counts.events), blobs: Number(counts.blobs) };
    context.stdout.write(
      options.json === true
        ? `${JSON.stringify({ id: file, type: "import", sessions, events, blobs })}\n`
        : `${sessions} session(s), ${events} event(s), ${blobs} blob(s) read\n`,
    );
    return exitCode.done;
  });
}

function tellAddresses(context: Context, connection: Connection, options: JsonOption, state: string): void {
  const { version, pid, addresses } = connection.info;
  if (options.json === true)
    return void context.stdout.write(`${JSON.stringify({ id: "daemon", type: "daemon", state, version, pid, addresses })}\n`);
  context.stdout.write(`${state}: ${addresses.join(", ")} (version ${version}, process ${pid})\n`);
  if (addresses.some((address) => !address.startsWith("unix:"))) context.stdout.write(`token: ${context.paths.token}\n`);
}
