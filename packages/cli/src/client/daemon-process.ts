import { spawn } from "node:child_process";
import { existsSync, mkdirSync, openSync, closeSync, renameSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

import { GuildError } from "@guildhall/core";
import { ensureRuntimeDirectory } from "@guildhall/core/paths";

import type { Context } from "./context.ts";

/** What a starting daemon says through the descriptor it is given, as one JSON line. */
export type Readiness =
  | { state: "ready" }
  | { state: "held" }
  | { state: "failed"; code: string; message: string; subject?: string; remedy?: string };

/**
 * The program of the daemon: beside this file when bundled, else the server package's source. The one place where the client knows of
 * the server.
 */
export function daemonEntry(): URL {
  const bundled = new URL("./daemon.js", import.meta.url);
  return existsSync(bundled) ? bundled : new URL(import.meta.resolve("@guildhall/server/daemon"));
}

/**
 * Starts the daemon in the background, in a session of its own, and waits until it says that it is ready. `held`: another starter was
 * faster, and its daemon is about to answer. Throws what the daemon says when it cannot start.
 */
export async function startDaemon(context: Context, options: string[] = []): Promise<"ready" | "held"> {
  ensureRuntimeDirectory(context.paths, context.uid);
  const log = openLog(context.paths.log);
  try {
    const child = spawn(process.execPath, [...nodeOptions, fileURLToPath(daemonEntry()), "--ready-fd", "3", ...options], {
      cwd: "/",
      detached: true,
      env: { ...context.env },
      stdio: ["ignore", log, log, "pipe"],
    });
    child.unref();
    const readiness = await readReadiness(child.stdio[3] as NodeJS.ReadableStream, context.paths.log);
    if (readiness.state !== "failed") return readiness.state;
    throw failureOf(readiness, `the log is ${context.paths.log}`);
  } finally {
    closeSync(log);
  }
}

/** Runs the daemon's program for one task with its output to this terminal; throws what kept it from doing it. No daemon is started. */
export async function runTask(context: Context, options: string[]): Promise<void> {
  const child = spawn(process.execPath, [fileURLToPath(daemonEntry()), "--ready-fd", "3", ...options], {
    env: { ...context.env },
    stdio: ["ignore", "inherit", "inherit", "pipe"],
  });
  const exited = new Promise<number | null>((resolve, reject) => child.on("error", reject).on("exit", resolve));
  let text = "";
  for await (const chunk of child.stdio[3] as NodeJS.ReadableStream) text += String(chunk);
  const code = await exited;
  if (text !== "") throw failureOf(JSON.parse(text) as Failure, "report this with the line above");
  if (code !== 0) throw new GuildError("internal", "the task ended early", { remedy: "report this with the lines above" });
}

type Failure = Extract<Readiness, { state: "failed" }>;

function failureOf(failure: Failure, fallback: string): GuildError {
  return new GuildError(failure.code as GuildError["code"], failure.message, {
    ...(failure.subject === undefined ? {} : { subject: failure.subject }),
    remedy: failure.remedy ?? fallback,
  });
}

/** Runs the daemon's program in the foreground with these options and this terminal; resolves to its exit code. */
export async function runDaemonProgram(context: Context, options: string[]): Promise<number> {
  // A service of its own has work to do: with so little room it would collect garbage instead.
  const own = options.includes("--serve") ? [] : nodeOptions;
  const child = spawn(process.execPath, [...own, fileURLToPath(daemonEntry()), ...options], {
    env: { ...context.env },
    stdio: "inherit",
  });
  const pass = (signal: NodeJS.Signals): void => void child.kill(signal);
  // A terminal sends SIGINT to the child by itself; SIGTERM comes to this process alone.
  const ignore = (): void => undefined;
  process.on("SIGTERM", pass).on("SIGINT", ignore);
  return await new Promise<number>((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code) => resolve(code ?? 1));
  }).finally(() => process.off("SIGTERM", pass).off("SIGINT", ignore));
}

/** Memory matters more than the last per cent of speed in a process that mostly waits. */
const nodeOptions = ["--max-semi-space-size=4"];

const largestLog = 5_000_000;

function openLog(file: string): number {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  if (existsSync(file) && statSync(file).size > largestLog) renameSync(file, `${file}.1`);
  return openSync(file, "a", 0o600);
}

async function readReadiness(pipe: NodeJS.ReadableStream, log: string): Promise<Readiness> {
  let text = "";
  for await (const chunk of pipe) {
    text += String(chunk);
    if (text.includes("\n")) break;
  }
  if (text === "") throw new GuildError("unavailable", "the daemon ended while starting", { remedy: `see ${log}, or run guild doctor` });
  return JSON.parse(text) as Readiness;
}

/** One finding of the doctor, as the daemon's program prints it. */
export interface MachineFinding {
  id: string;
  level: "ok" | "warning" | "problem";
  text: string;
  remedy: string;
}

/** Has the daemon's program examine this machine; no daemon is started. */
export async function examineMachine(context: Context): Promise<MachineFinding[]> {
  const child = spawn(process.execPath, [fileURLToPath(daemonEntry()), "--doctor"], {
    env: { ...context.env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = new Promise((resolve, reject) => child.on("error", reject).on("exit", resolve));
  let text = "";
  for await (const chunk of child.stdout) text += String(chunk);
  await exited;
  if (text === "") throw new GuildError("internal", "the examination ended early", { remedy: "report this with the lines above" });
  return JSON.parse(text) as MachineFinding[];
}
