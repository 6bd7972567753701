import type { MessageInitShape } from "@bufbuild/protobuf";
import { createPushQueue, GuildError, type PushQueue } from "@guildhall/core";
import type { ExecExit, ExecRequestSchema } from "@guildhall/protocol";

import type { Context } from "../client/context.ts";
import { exitCode } from "../exit.ts";
import { workspaceOf } from "./arguments.ts";
import { withConnection } from "./session.ts";

interface ExecOptions {
  workspace?: string;
  sandbox?: string;
  limit: string[];
}

type Request = MessageInitShape<typeof ExecRequestSchema>;

/**
 * `guild sandbox exec`: input, output, signals and the window's size are passed through, and so is the exit code; 128 + n for a command that
 * a signal ended, 3 for one that a limit ended.
 */
export function exec(context: Context, command: string[], options: ExecOptions): Promise<number> {
  const limits = Object.fromEntries(options.limit.map(parseLimit));
  return withConnection(context, async (connection) => {
    const { openExec } = await import("../client/exec-client.ts");
    const client = openExec(connection.socket);
    const { stdin, stdout, stderr } = context;
    const terminal = stdin.isTTY === true && stdout.isTTY === true;
    const requests = createPushQueue<Request>();
    requests.push({
      kind: {
        case: "start",
        value: {
          workspace: workspaceOf(context, options.workspace),
          sandbox: options.sandbox ?? "",
          command,
          limits,
          ...(terminal ? { terminal: { rows: stdout.rows, columns: stdout.columns } } : {}),
        },
      },
    });
    const stop = forward(context, requests, terminal);
    try {
      let exit: ExecExit | undefined;
      for await (const { kind } of client.exec(requests.items())) {
        if (kind.case === "stdout") stdout.write(kind.value);
        if (kind.case === "stderr") stderr.write(kind.value);
        if (kind.case === "exit") exit = kind.value;
      }
      return await exitOf(context, exit);
    } finally {
      stop();
      client.close();
    }
  });
}

const limitNames = ["cpu_seconds", "memory_bytes", "processes", "file_bytes", "wall_seconds", "open_files", "disk_bytes", "disk_files"];

function parseLimit(text: string): [string, bigint] {
  const match = /^([a-z_]+)=(\d+)$/.exec(text);
  const name = match?.[1] ?? "";
  if (match === null || !limitNames.includes(name) || BigInt(match[2] ?? "0") === 0n) {
    throw new GuildError("invalid_argument", `--limit ${text} is not understood`, {
      remedy: `write name=number with one of ${limitNames.join(", ")}`,
    });
  }
  return [name, BigInt(match[2] ?? "0")];
}

function forward(context: Context, requests: PushQueue<Request>, terminal: boolean): () => void {
  const { stdin, stdout } = context;
  const onData = (chunk: Buffer): void => requests.push({ kind: { case: "input", value: new Uint8Array(chunk) } });
  const onEnd = (): void => requests.push({ kind: { case: "closeInput", value: true } });
  const onResize = (): void => requests.push({ kind: { case: "resize", value: { rows: stdout.rows, columns: stdout.columns } } });
  const onSignal = (name: NodeJS.Signals): void => requests.push({ kind: { case: "signal", value: name } });
  if (terminal) stdin.setRawMode(true);
  stdin.on("data", onData).on("end", onEnd).on("error", onEnd);
  stdout.on("resize", onResize);
  for (const signal of forwarded) process.on(signal, onSignal);
  return () => {
    if (terminal) stdin.setRawMode(false);
    stdin.off("data", onData).off("end", onEnd).off("error", onEnd).pause();
    stdout.off("resize", onResize);
    for (const signal of forwarded) process.off(signal, onSignal);
    requests.end();
  };
}

const forwarded = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"] as const;

async function exitOf(context: Context, exit: ExecExit | undefined): Promise<number> {
  if (exit === undefined)
    throw new GuildError("unavailable", "the sandbox went away before the command ended", { remedy: "run guild doctor" });
  if (exit.limit !== "") {
    context.stderr.write(`guild: the command was ended by its limit: ${exit.limit}\n`);
    return exitCode.limit;
  }
  if (exit.signal === "") return exit.code;
  const { constants } = await import("node:os");
  return 128 + (constants.signals[exit.signal as NodeJS.Signals] ?? 0);
}
