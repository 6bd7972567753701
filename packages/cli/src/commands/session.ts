import { GuildError } from "@guildhall/core";
import { Control, type Session } from "@guildhall/protocol";

import { connect, type Connection } from "../client/connect.ts";
import type { Context } from "../client/context.ts";
import { exitCode } from "../exit.ts";
import { sessionLine, statusName } from "../output/json.ts";
import { createProgress } from "../output/progress.ts";
import { count, createStyle, money, oneLine } from "../output/style.ts";
import { credentialsOf, workspaceOf } from "./arguments.ts";

interface JsonOption {
  json?: boolean;
}

/** Runs `work` with a connection and closes it. */
export async function withConnection<T>(context: Context, work: (connection: Connection) => Promise<T>): Promise<T> {
  const connection = await connect(context);
  try {
    return await work(connection);
  } finally {
    connection.close();
  }
}

/** `guild session list`. */
export function list(context: Context, options: JsonOption & { workspace?: string; limit: number }): Promise<number> {
  return withConnection(context, async (connection) => {
    const workspace = options.workspace === undefined ? "" : workspaceOf(context, options.workspace);
    let left = options.limit;
    let pageToken = "";
    do {
      const page = await connection.sessions.listSessions({ pageSize: Math.min(left, 200), pageToken, workspace });
      for (const session of page.sessions)
        context.stdout.write(`${options.json === true ? JSON.stringify(sessionLine(session)) : row(context, session)}\n`);
      left -= page.sessions.length;
      pageToken = page.nextPageToken;
    } while (pageToken !== "" && left > 0);
    return exitCode.done;
  });
}

/** `guild session show`. */
export function show(context: Context, id: string, options: JsonOption): Promise<number> {
  return withConnection(context, async (connection) => {
    const session = present((await connection.sessions.getSession({ sessionId: id })).session);
    if (options.json === true) context.stdout.write(`${JSON.stringify(sessionLine(session))}\n`);
    else for (const [name, value] of facts(session)) context.stdout.write(`${name.padEnd(10)} ${value}\n`);
    const { sessions: agents } = await connection.sessions.listSessions({ parentId: id });
    for (const agent of agents) {
      const line = `${agent.id} ${statusName(agent.status)}, ${agent.steps} steps: ${agent.title}`;
      context.stdout.write(
        options.json === true ? `${JSON.stringify(sessionLine(agent))}\n` : `${"agent".padEnd(10)} ${oneLine(line, 200)}\n`,
      );
    }
    return exitCode.done;
  });
}

/** `guild session events`. */
export function events(context: Context, id: string, options: JsonOption & { from: number; follow?: boolean }): Promise<number> {
  return withConnection(context, async (connection) => {
    const progress = createProgress(context, id, { json: options.json === true });
    const request = { sessionId: id, fromSeq: options.from, follow: options.follow === true, deltas: false };
    for await (const response of connection.sessions.watchSession(request)) progress.events(response.events);
    progress.pause();
    return exitCode.done;
  });
}

/** `guild session send`: stored at once; work begins when nobody works on the session. */
export function send(context: Context, id: string, text: string, options: JsonOption): Promise<number> {
  return withConnection(context, async (connection) => {
    const { seq } = await connection.sessions.sendInput({
      sessionId: id,
      input: { case: "message", value: { text } },
      credentials: credentialsOf(context),
    });
    stored(context, id, seq, options);
    return exitCode.done;
  });
}

/** `guild session interrupt`. */
export function interrupt(context: Context, id: string, options: JsonOption & { pause?: boolean }): Promise<number> {
  return withConnection(context, async (connection) => {
    const control = options.pause === true ? Control.PAUSE : Control.INTERRUPT;
    const { seq } = await connection.sessions.sendInput({ sessionId: id, input: { case: "control", value: { control } } });
    stored(context, id, seq, options);
    return exitCode.done;
  });
}

function stored(context: Context, id: string, seq: number, options: JsonOption): void {
  if (options.json === true) context.stdout.write(`${JSON.stringify({ id: `${id}/${seq}`, type: "input", session: id, seq })}\n`);
  else context.stdout.write(`stored as event ${seq}; follow with: guild session events ${id} --from ${seq} --follow\n`);
}

/** The session of a response; the daemon always sends one. */
export function present(session: Session | undefined): Session {
  if (session === undefined) throw new GuildError("internal", "the daemon answered without a session");
  return session;
}

function row(context: Context, session: Session): string {
  const style = createStyle(context.color);
  const width = context.stdout.isTTY === true ? context.stdout.columns : 160;
  const head = `${session.id}  ${statusName(session.status).padEnd(16)} ${when(session)}  ${String(session.steps).padStart(4)} steps  `;
  return `${style.bold(session.id)}${head.slice(session.id.length)}${oneLine(`${session.parentId === "" ? "" : "↳ "}${session.title}`, Math.max(20, width - head.length))}`;
}

function when(session: Session): string {
  const seconds = Number(session.updated?.seconds ?? 0n);
  return new Date(seconds * 1000).toISOString().slice(0, 16).replace("T", " ");
}

function facts(session: Session): Array<[string, string]> {
  const { usage } = session;
  const all: Array<[string, string]> = [
    ["session", session.id],
    ["goal", session.title],
    ["status", `${statusName(session.status)}${session.summary === "" ? "" : `: ${session.summary}`}`],
    ["workspace", session.workspace],
    ["model", session.model],
    ["sandbox", session.sandbox],
    ["events", String(session.lastSeq)],
    ["steps", String(session.steps)],
    [
      "tokens",
      `${count(usage?.inputTokens ?? 0)} in (${count(usage?.cachedInputTokens ?? 0)} cached), ${count(usage?.outputTokens ?? 0)} out`,
    ],
    ["cost", usage?.costKnown === true ? money(usage.costUsd) : "not known"],
    ["updated", `${when(session)} UTC`],
    ["parent", session.parentId],
  ];
  return all.filter(([, value]) => value !== "");
}
