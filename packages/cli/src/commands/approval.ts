import { foldAll, GuildError, type OpenCall } from "@guildhall/core";
import { type Event, type Risk, RiskSchema, type Session, SessionStatus } from "@guildhall/protocol";

import type { Connection } from "../client/connect.ts";
import type { Context } from "../client/context.ts";
import { exitCode } from "../exit.ts";
import { oneLine } from "../output/style.ts";
import { decideConflict, isConflict, listConflicts, showConflict } from "./approval-conflict.ts";
import { credentialsOf, workspaceOf } from "./arguments.ts";
import { ask } from "./ask.ts";
import { withConnection } from "./session.ts";

interface JsonOption {
  json?: boolean;
}

interface DecideOptions extends JsonOption {
  comment?: string;
  /** Save the rule too. */
  always?: boolean;
  /** `session`, or `workspace`. */
  for?: string;
  yes?: boolean;
}

/** An action that waits for a person. */
interface Pending {
  /** `<session>/<approval>`: what the commands take. */
  id: string;
  session: string;
  workspace: string;
  call: OpenCall;
  approval: NonNullable<OpenCall["approval"]>;
}

/** Sessions in which an action may wait. */
const MAY_WAIT: ReadonlySet<SessionStatus> = new Set([SessionStatus.WAITING_APPROVAL, SessionStatus.RUNNING, SessionStatus.ORPHANED]);

/** `guild approval list`: of the 200 most recent sessions, newest first; then facts that contradict each other, unless one workspace is asked for. */
export function list(context: Context, options: JsonOption & { workspace?: string }): Promise<number> {
  return withConnection(context, async (connection) => {
    const workspace = options.workspace === undefined ? "" : workspaceOf(context, options.workspace);
    const { sessions } = await connection.sessions.listSessions({ pageSize: 200, workspace });
    let found = 0;
    for (const session of sessions.filter(({ status }) => MAY_WAIT.has(status))) {
      for (const pending of await pendingOf(connection, session)) {
        found += 1;
        context.stdout.write(options.json === true ? `${JSON.stringify(lineOf(pending))}\n` : `${row(context, pending)}\n`);
      }
    }
    if (workspace === "") found += await listConflicts(context, connection, options.json === true);
    if (found === 0 && options.json !== true) context.stdout.write("nothing waits for approval\n");
    return exitCode.done;
  });
}

/** `guild approval show`: the exact action, why it is asked about, and the rule that would allow it. */
export function show(context: Context, id: string, options: JsonOption): Promise<number> {
  return withConnection(context, async (connection) => {
    if (isConflict(id)) return await showConflict(context, connection, id, options.json === true);
    const pending = await find(connection, id);
    if (options.json === true) context.stdout.write(`${JSON.stringify(lineOf(pending))}\n`);
    else for (const [name, value] of facts(pending)) context.stdout.write(`${name.padEnd(10)} ${value}\n`);
    return exitCode.done;
  });
}

/** `guild approval grant` and `deny`: for exactly the action that `show` shows; the session goes on with it. */
export function decide(context: Context, id: string, granted: boolean, options: DecideOptions): Promise<number> {
  return withConnection(context, async (connection) => {
    if (isConflict(id)) return await decideConflict(context, connection, id, { granted, json: options.json === true });
    const { session, call, approval, ...pending } = await find(connection, id);
    if (options.always === true && granted)
      await saveRule(context, connection, { session, approval, workspace: pending.workspace }, options);
    if (approval.expires < Date.now()) {
      throw new GuildError("failed_precondition", `the question has expired ${when(approval.expires)}`, {
        subject: pending.id,
        remedy: `guild session resume ${session} goes on without that action`,
      });
    }
    const { seq } = await connection.sessions.sendInput({
      sessionId: session,
      input: {
        case: "approval",
        value: { approvalId: approval.approvalId, actionDigest: approval.digest, granted, comment: options.comment ?? "" },
      },
      credentials: credentialsOf(context),
    });
    const decision = granted ? "granted" : "denied";
    if (options.json === true) context.stdout.write(`${JSON.stringify({ id: pending.id, type: "decision", session, seq, decision })}\n`);
    else context.stdout.write(`${decision}: ${call.tool}; follow with: guild session events ${session} --from ${seq} --follow\n`);
    return exitCode.done;
  });
}

/** `guild approval rules list`. */
export function listRules(context: Context, options: JsonOption): Promise<number> {
  return withConnection(context, async (connection) => {
    const { rules } = await connection.approvals.listRules({});
    for (const rule of rules) {
      const { id, text, tool, actionDigest, workspace, sessionId, saved } = rule;
      if (options.json === true) {
        const line = {
          id,
          type: "rule",
          text,
          tool,
          action_digest: actionDigest,
          workspace,
          saved,
          ...(sessionId === "" ? {} : { session: sessionId }),
        };
        context.stdout.write(`${JSON.stringify(line)}\n`);
      } else {
        context.stdout.write(`${id}  ${visible(text)}  (${sessionId === "" ? "every session there" : `session ${sessionId}`})\n`);
      }
    }
    if (rules.length === 0 && options.json !== true) context.stdout.write("no rules are saved\n");
    return exitCode.done;
  });
}

/** `guild approval rules remove`. */
export function removeRule(context: Context, id: string): Promise<number> {
  return withConnection(context, async (connection) => {
    await connection.approvals.removeRule({ id });
    context.stdout.write(`removed: such actions are asked about again\n`);
    return exitCode.done;
  });
}

/** Shows the exact rule, and saves it once the person has said yes to it. */
async function saveRule(
  context: Context,
  connection: Connection,
  asked: Pick<Pending, "session" | "approval" | "workspace">,
  options: DecideOptions,
): Promise<void> {
  const { session, approval, workspace } = asked;
  const whole = options.for === "workspace";
  const text = `${visible(approval.rule)} — for ${whole ? `every session in ${visible(workspace)}` : `session ${session} alone`}`;
  context.stderr.write(`guild: the rule: ${text}\n`);
  if (options.yes !== true) {
    if (context.stdin.isTTY !== true) {
      throw new GuildError("failed_precondition", "nobody has said yes to this rule", {
        subject: session,
        remedy: "repeat the command with --yes",
      });
    }
    const answer = await ask(context, "Save it, and run such actions without asking? [y/N] ");
    if (!/^y(es)?$/i.test(answer)) throw new GuildError("cancelled", "nothing was saved and nothing decided", { subject: session });
  }
  await connection.approvals.saveRule({ sessionId: session, approvalId: approval.approvalId, workspace: whole });
}

async function find(connection: Connection, id: string): Promise<Pending> {
  const [sessionId = "", approvalId] = id.split("/");
  const { session } = await connection.sessions.getSession({ sessionId });
  const all = session === undefined ? [] : await pendingOf(connection, session);
  const matching = approvalId === undefined ? all : all.filter(({ approval }) => approval.approvalId === approvalId);
  const [first, second] = matching;
  if (first === undefined) {
    throw new GuildError("not_found", "no such action waits for approval", {
      subject: id,
      remedy: "it may be decided already; guild approval list shows what waits",
    });
  }
  if (second !== undefined) {
    throw new GuildError("invalid_argument", `${matching.length} actions of this session wait for approval`, {
      subject: id,
      remedy: `name one: ${matching.map((one) => one.id).join(", ")}`,
    });
  }
  return first;
}

async function pendingOf(connection: Connection, session: Session): Promise<Pending[]> {
  const events: Event[] = [];
  for await (const response of connection.sessions.watchSession({ sessionId: session.id, fromSeq: 1, follow: false })) {
    events.push(...response.events);
  }
  const { id, workspace } = session;
  return foldAll(events).open.flatMap((call) => {
    const { approval } = call;
    if (approval === undefined || approval.decision !== undefined || call.started !== undefined) return [];
    return [{ id: `${id}/${approval.approvalId}`, session: id, workspace, call, approval }];
  });
}

function lineOf({ id, session, workspace, call, approval }: Pending): Record<string, unknown> {
  return {
    id,
    type: "approval",
    session,
    workspace,
    tool: call.tool,
    arguments: call.arguments,
    risk: riskName(approval.risk),
    reason: approval.reason,
    rule: approval.rule,
    action_digest: approval.digest,
    ...(Number.isFinite(approval.expires) ? { expires: new Date(approval.expires).toISOString() } : {}),
  };
}

function row(context: Context, { id, call, approval }: Pending): string {
  const head = `${id}  ${riskName(approval.risk).padEnd(6)} ${call.tool} `;
  const width = context.stdout.isTTY === true ? context.stdout.columns : 200;
  return head + oneLine(`${call.arguments} — ${approval.reason}`, Math.max(30, width - head.length));
}

/** Arguments whole, control characters shown as what they are: a person decides on what stands here. */
function facts({ id, workspace, call, approval }: Pending): Array<[string, string]> {
  return [
    ["approval", id],
    ["tool", call.tool],
    ["arguments", visible(call.arguments)],
    ["workspace", visible(workspace)],
    ["risk", riskName(approval.risk)],
    ["reason", visible(approval.reason)],
    ["rule", visible(approval.rule)],
    ["action", approval.digest],
    ["expires", when(approval.expires)],
  ];
}

function visible(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`);
}

function when(ms: number): string {
  return Number.isFinite(ms) ? `${new Date(ms).toISOString().slice(0, 16).replace("T", " ")} UTC` : "never";
}

function riskName(risk: Risk): string {
  return (RiskSchema.value[risk]?.localName ?? "unknown").toLowerCase();
}
