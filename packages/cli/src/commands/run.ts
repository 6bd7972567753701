import { existsSync } from "node:fs";
import { dirname, join } from "node:path";

import { GuildError } from "@guildhall/core";
import { type CreateSessionResponse, type Limits, SessionStatus } from "@guildhall/protocol";

import { connect, type Connection } from "../client/connect.ts";
import type { Context } from "../client/context.ts";
import { sessionLine, statusName } from "../output/json.ts";
import { createStyle } from "../output/style.ts";
import { credentialsOf, modelOf, workspaceOf } from "./arguments.ts";
import { follow } from "./follow.ts";

export interface WorkOptions {
  model?: string;
  baseUrl?: string;
  maxSteps?: number;
  maxTokens?: number;
  maxSeconds?: number;
  budget?: number;
  json?: boolean;
}

export interface RunOptions extends WorkOptions {
  workspace?: string;
  sandbox?: string;
  yes?: boolean;
  review?: boolean;
}

/** `guild run`: a session with a goal, followed until its turn ends. */
export async function run(context: Context, goal: string, options: RunOptions): Promise<number> {
  if (goal.trim() === "")
    throw new GuildError("invalid_argument", "the goal is empty", { remedy: 'say what to reach: guild run "make the tests pass"' });
  const connection = await connect(context);
  try {
    const created = await create(context, connection, goal, options).catch((error: unknown) => {
      if (!isNoModel(error) || options.workspace !== undefined || options.model !== undefined) throw error;
      return demonstrate(context, connection, options, error);
    });
    const session = created.session;
    if (session === undefined) throw new GuildError("internal", "the daemon answered without a session");
    announce(context, created, options);
    return await follow(context, connection, session.id, {
      json: options.json === true,
      from: 1,
      interactive: isInteractive(context, options),
    });
  } finally {
    connection.close();
  }
}

/** `guild session resume`: takes it up again, or attaches to it while it runs. */
export async function resume(context: Context, id: string, options: WorkOptions): Promise<number> {
  const connection = await connect(context);
  try {
    const { session: before } = await connection.sessions.getSession({ sessionId: id });
    if (before === undefined) throw new GuildError("internal", "the daemon answered without a session");
    const interactive = isInteractive(context, options);
    const waitsForPerson = before.status === SessionStatus.WAITING_APPROVAL && interactive;
    // Asked for even when it seems to run: its worker may be dead, with the lease not over yet. A session that runs is left alone.
    if (!waitsForPerson) {
      await connection.sessions.resumeSession({
        sessionId: id,
        limits: limitsOf(options),
        credentials: credentialsOf(context),
        unattended: !interactive,
        model: modelOf(context, options.model),
        baseUrl: options.baseUrl ?? "",
      });
    }
    if (options.json !== true)
      context.stdout.write(
        `${createStyle(context.color).dim(`session ${id} · ${statusName(before.status)} at event ${before.lastSeq}`)}\n`,
      );
    // An approval that is still open is shown again, so that it can be decided here.
    const from = waitsForPerson ? Math.max(1, before.lastSeq - 1) : before.lastSeq + 1;
    return await follow(context, connection, id, { json: options.json === true, from, interactive });
  } finally {
    connection.close();
  }
}

function create(context: Context, connection: Connection, goal: string, options: RunOptions): Promise<CreateSessionResponse> {
  return connection.sessions.createSession({
    workspace: workspaceOf(context, options.workspace),
    goal,
    model: modelOf(context, options.model),
    baseUrl: options.baseUrl ?? "",
    sandbox: options.sandbox ?? "",
    limits: limitsOf(options),
    approvalPolicy: options.yes === true ? "never" : "",
    apply: options.review === true ? "review" : "",
    credentials: credentialsOf(context),
    unattended: !isInteractive(context, options),
  });
}

/** Throws `noModel` where the goal is somebody's own: that something else was done must not look as if it had been reached. */
async function demonstrate(
  context: Context,
  connection: Connection,
  options: RunOptions,
  noModel: GuildError,
): Promise<CreateSessionResponse> {
  const { isForDemonstration, prepareDemonstration } = await import("./demonstration.ts");
  if (!isForDemonstration(context.cwd)) throw noModel;
  const demo = await prepareDemonstration(context);
  const line =
    "No model is at hand, so this is a demonstration: a script shipped with Guildhall plays the model; sandbox, tools, tests and log are real.";
  if (options.json === true)
    context.stdout.write(
      `${JSON.stringify({ id: "demonstration", type: "notice", text: line, workspace: demo.workspace, script: demo.script })}\n`,
    );
  else
    context.stdout.write(
      `${line}\nIt works on a copy of ${demo.sample} in ${demo.workspace}. For your own goal: guild run "<goal>" --model <provider/model>, see guild doctor.\n`,
    );
  return create(context, connection, demo.goal, { ...options, workspace: demo.workspace, model: `scripted:${demo.script}` });
}

/** The daemon says so with the subject `model`. */
function isNoModel(error: unknown): error is GuildError {
  return GuildError.is(error, "failed_precondition") && error.subject === "model";
}

function announce(context: Context, created: CreateSessionResponse, options: RunOptions): void {
  const { session } = created;
  if (session === undefined) return;
  for (const notice of created.notices) context.stderr.write(`guild: ${notice}\n`);
  if (options.json === true) {
    context.stdout.write(`${JSON.stringify({ ...sessionLine(session), model_reason: created.modelReason })}\n`);
    return;
  }
  context.stdout.write(`${createStyle(context.color).dim(`session ${session.id}`)}\n`);
  if (!insideRepository(session.workspace)) {
    context.stderr.write(
      `guild: ${session.workspace} is in no git repository: checkpoints work all the same; run git init there to review changes with git\n`,
    );
  }
}

function insideRepository(directory: string): boolean {
  if (existsSync(join(directory, ".git"))) return true;
  const parent = dirname(directory);
  return parent !== directory && insideRepository(parent);
}

function isInteractive(context: Context, options: { json?: boolean }): boolean {
  return options.json !== true && context.stdin.isTTY === true && context.stdout.isTTY === true;
}

function limitsOf(options: WorkOptions): Partial<Pick<Limits, "maxSteps" | "maxCostUsd" | "maxSeconds">> & { maxTokens?: bigint } {
  return {
    ...(options.maxSteps === undefined ? {} : { maxSteps: options.maxSteps }),
    ...(options.maxTokens === undefined ? {} : { maxTokens: BigInt(options.maxTokens) }),
    ...(options.budget === undefined ? {} : { maxCostUsd: options.budget }),
    ...(options.maxSeconds === undefined ? {} : { maxSeconds: options.maxSeconds }),
  };
}
