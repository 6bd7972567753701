import { GuildError } from "@guildhall/core";
import type { Session } from "@guildhall/protocol";

import type { Connection } from "../client/connect.ts";
import { reasonName } from "../commands/follow.ts";
import { statusName } from "../output/json.ts";

/** What a session tool needs of its surroundings. */
export interface SessionToolContext {
  connection: Connection;
  /** Directory of sessions that name none. */
  workspace: string;
  credentials: Record<string, string>;
  signal: AbortSignal;
  progress(text: string): void;
}

/** A tool that speaks of Guildhall's sessions, as MCP clients see it. */
export interface SessionTool {
  name: string;
  description: string;
  inputSchema: { type: "object"; properties: Record<string, Record<string, string | number>>; required?: string[] };
  readOnly: boolean;
  run(args: Record<string, unknown>, context: SessionToolContext): Promise<Record<string, unknown>>;
}

const text = (description: string): Record<string, string> => ({ type: "string", description });
const id = { session: text("Id of the session") };
const wait = { wait_s: { type: "number", minimum: 0, maximum: 3600, description: "How long to wait for the end of the turn; default 0" } };

/** Sessions of the person's daemon: begin one, look at it, speak to it, take its result. */
export const SESSION_TOOLS: readonly SessionTool[] = [
  {
    name: "session_run",
    description:
      "Let a Guildhall agent work on a goal in a directory, in a sandbox, with a checkpoint of every step. Returns at once unless it is to wait.",
    inputSchema: {
      type: "object",
      properties: {
        goal: text("What to reach"),
        workspace: text("Absolute path; default the server's"),
        model: text("provider/model"),
        ...wait,
      },
      required: ["goal"],
    },
    readOnly: false,
    async run(args, { connection, workspace, credentials, ...rest }) {
      const { session } = await connection.sessions.createSession({
        goal: word(args, "goal"),
        workspace: optional(args, "workspace") ?? workspace,
        model: optional(args, "model") ?? "",
        credentials,
        unattended: true,
      });
      return await outcome(connection, session?.id ?? "", 1, args, rest);
    },
  },
  {
    name: "session_list",
    description: "The latest sessions.",
    inputSchema: { type: "object", properties: { workspace: text("Only those of this directory") } },
    readOnly: true,
    async run(args, { connection }) {
      const { sessions } = await connection.sessions.listSessions({ pageSize: 20, workspace: optional(args, "workspace") ?? "" });
      return { sessions: sessions.map(line) };
    },
  },
  {
    name: "session_status",
    description: "State, steps and cost of a session.",
    inputSchema: { type: "object", properties: id, required: ["session"] },
    readOnly: true,
    async run(args, { connection }) {
      const { session } = await connection.sessions.getSession({ sessionId: word(args, "session") });
      return session === undefined ? {} : line(session);
    },
  },
  {
    name: "session_send",
    description: "Say something to a session's agent; one that rests begins to work.",
    inputSchema: { type: "object", properties: { ...id, text: text("The message"), ...wait }, required: ["session", "text"] },
    readOnly: false,
    async run(args, { connection, credentials, ...rest }) {
      const sessionId = word(args, "session");
      const { seq } = await connection.sessions.sendInput({
        sessionId,
        input: { case: "message", value: { text: word(args, "text") } },
        credentials,
      });
      return await outcome(connection, sessionId, seq, args, rest);
    },
  },
  {
    name: "session_result",
    description: "How the last turn of a session ended, and what the agent said.",
    inputSchema: { type: "object", properties: { ...id, ...wait }, required: ["session"] },
    readOnly: true,
    async run(args, { connection, signal, progress }) {
      return await outcome(connection, word(args, "session"), 1, args, { signal, progress });
    },
  },
];

/** The session with what its last turn came to, once it is over or the wait is. */
async function outcome(
  connection: Connection,
  sessionId: string,
  fromSeq: number,
  args: Record<string, unknown>,
  { signal, progress }: Pick<SessionToolContext, "signal" | "progress">,
): Promise<Record<string, unknown>> {
  const seconds = typeof args["wait_s"] === "number" ? args["wait_s"] : 0;
  let said = "";
  let end: { reason: string; summary: string } | undefined;
  const enough = seconds > 0 ? AbortSignal.any([signal, AbortSignal.timeout(seconds * 1000)]) : signal;
  const request = { sessionId, fromSeq, follow: seconds > 0, deltas: seconds > 0, untilTurnEnd: true };
  try {
    for await (const { deltas, events } of connection.sessions.watchSession(request, { signal: enough })) {
      for (const { kind } of deltas) if (kind.case === "waiting") progress(kind.value);
      for (const { body } of events) {
        if (body.case === "modelReplied" && body.value.text !== "") said = body.value.text;
        if (body.case === "messageReceived") end = undefined;
        if (body.case === "turnEnded") end = { reason: reasonName(body.value), summary: body.value.summary };
      }
    }
  } catch (error) {
    // Enough was waited: what is known by now is the answer.
    if (signal.aborted || !enough.aborted) throw error;
  }
  const { session } = await connection.sessions.getSession({ sessionId });
  return { ...(session === undefined ? {} : line(session)), ...(end === undefined ? {} : { end }), ...(said === "" ? {} : { said }) };
}

function line(session: Session): Record<string, unknown> {
  const { workspace, title, steps, usage, model } = session;
  return {
    session: session.id,
    title,
    status: statusName(session.status),
    workspace,
    model,
    steps,
    cost_usd: usage?.costUsd ?? 0,
    summary: session.summary,
  };
}

function word(args: Record<string, unknown>, name: string): string {
  const value = optional(args, name);
  if (value === undefined || value === "") throw new GuildError("invalid_argument", `the argument ${name} is missing`, { subject: name });
  return value;
}

function optional(args: Record<string, unknown>, name: string): string | undefined {
  const value = args[name];
  return typeof value === "string" ? value : undefined;
}
