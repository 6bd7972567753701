import { posix } from "node:path";

import { type ActionRisk, type CommandJudge, GuildError, type ToolContext, type ToolResult, type ToolSession } from "@guildhall/core";
import { Risk } from "@guildhall/protocol";
import { z } from "zod";

import { defineTool } from "../define-tool.ts";
import { broughtByCommand, leavingByCommand } from "../leaving.ts";
import { commandRisk } from "./command-risk.ts";
import { isTyped } from "./keys.ts";
import { type CallLimits, describeExit, exitCode, type ShellOutcome, ShellSession } from "./shell-session.ts";

export interface BashOptions {
  /** Path of bash within the sandbox; default the toolkit's. */
  bash?: string;
  /** Environment of shells, on top of the sandbox's and of what keeps programs from waiting at a pager. */
  env?: Record<string, string>;
  /** Size of the terminal; default 50 × 200. */
  rows?: number;
  columns?: number;
}

/** Defaults of `timeout_s`: for a command or a wait, for input, for the start of a process in the background. */
const [COMMAND_S, INPUT_S, BACKGROUND_S] = [60, 5, 0.5];
const LONGEST_S = 3600;

const schema = z.strictObject({
  command: z.string().optional().describe("One or more commands; several lines are fine"),
  timeout_s: z.number().positive().max(LONGEST_S).optional().describe(`Seconds to wait (default ${COMMAND_S}); it runs on after that`),
  input: z
    .string()
    .optional()
    .describe('For what is running: text (Enter is added), keys such as "C-c", "C-d", "Up Enter", a signal such as "SIGTERM"; "" waits'),
  background: z.boolean().optional().describe("Start it beside the shell; answers with its process name"),
  process: z.string().optional().describe("Background process that input is for"),
  reset: z.boolean().optional().describe("End the shell, start a fresh one"),
});

type BashInput = z.output<typeof schema>;

/** Programs of a terminal, told that nobody pages and that colours are lost. */
const ENVIRONMENT = {
  TERM: "dumb",
  PAGER: "cat",
  GIT_PAGER: "cat",
  MANPAGER: "cat",
  SYSTEMD_PAGER: "",
  GIT_TERMINAL_PROMPT: "0",
  NO_COLOR: "1",
  DEBIAN_FRONTEND: "noninteractive",
};

/** A persistent shell; see docs/tools.md for every promise. */
export function createBashTool(options: BashOptions = {}) {
  return defineTool({
    name: "bash",
    description:
      "Run commands in a persistent bash: directory, variables and functions carry over. A command that takes longer than timeout_s runs on; continue it with input. Long output is shortened; the whole is kept.",
    schema,
    risk: ({ command }) => (command === undefined ? Risk.LOW : commandRisk(command)),
    assess: (input, judge) => highest([assessCommand(input.command, judge), assessInput(input.input, judge)]),
    resources: (input) => [
      { name: input.process === undefined ? "shell:main" : `shell:${input.process}`, access: "write" },
      { name: "workspace", access: "write" },
    ],
    sends: (input) => leavingByCommand(input.command) ?? leavingByCommand(input.input),
    async execute(input, context) {
      const shell = shellSession(context.session, options);
      try {
        const untrusted = broughtByCommand(input.command) ?? broughtByCommand(input.input);
        return { ...(await call(shell, input, context)), ...(untrusted === undefined ? {} : { untrusted }) };
      } catch (error) {
        if (GuildError.is(error) && ["failed_precondition", "invalid_argument", "not_found", "resource_exhausted"].includes(error.code)) {
          return { status: "error", output: error.line };
        }
        throw error;
      }
    },
  });
}

function assessCommand(command: string | undefined, judge: CommandJudge): ActionRisk {
  return command === undefined ? { risk: Risk.LOW, reasons: [] } : judge.judge(command);
}

/** What is typed may go to a shell, so it is judged as a script for one; an answer or a key is none. */
export function assessInput(input: string | undefined, judge: CommandJudge): ActionRisk {
  if (input === undefined || !isTyped(input) || /^\s*[\w.-]{0,20}\s*$/.test(input)) return { risk: Risk.LOW, reasons: [] };
  const { risk, reasons } = judge.judge(input);
  return { risk, reasons: reasons.map((reason) => `as a command, what is typed would be a risk: ${reason}`) };
}

function highest(risks: ActionRisk[]): ActionRisk {
  const risk = risks.reduce<Risk>((most, one) => (one.risk > most ? one.risk : most), Risk.LOW);
  return { risk, reasons: risks.filter((one) => one.risk === risk).flatMap(({ reasons }) => reasons) };
}

/** Starts a session's shell before it is needed. */
export function warmShell(session: ToolSession, options: BashOptions = {}): void {
  shellSession(session, options).warm();
}

/** The shell of a session, which all tools that run commands share. */
export function shellSession(session: ToolSession, options: BashOptions = {}): ShellSession {
  return session.get(
    "shell",
    () =>
      new ShellSession({
        sandbox: session.sandbox,
        blobs: session.blobs,
        masker: session.masker,
        bash: options.bash ?? "/run/guildhall/bin/bash",
        env: { ...ENVIRONMENT, ...options.env },
        rows: options.rows ?? 50,
        columns: options.columns ?? 200,
      }),
  );
}

async function call(shell: ShellSession, input: BashInput, context: ToolContext): Promise<ToolResult> {
  const begun = performance.now();
  const limits = (seconds: number): CallLimits => ({
    timeoutMs: (input.timeout_s ?? seconds) * 1000,
    signal: context.signal,
    progress: (text) => context.progress(text),
  });
  const { workspace } = context.session.sandbox;
  if (input.command?.includes("\0") === true) throw new GuildError("invalid_argument", "a command cannot hold a NUL character");
  if (input.reset === true) {
    await shell.reset();
    if (input.command === undefined) return { status: "ok", output: "[fresh shell]", data: { shell_restarted: true } };
  }
  if (input.process !== undefined) {
    if (input.command !== undefined) throw new GuildError("invalid_argument", "process goes with input, not with command");
    const outcome = await shell.feedBackground(input.process, input.input ?? "", limits(input.input === undefined ? 0.05 : INPUT_S));
    return render(outcome, { begun, workspace, process: input.process });
  }
  if (input.command === undefined) {
    if (input.input === undefined) throw new GuildError("invalid_argument", "give a command, or input for what is running");
    return render(await shell.feed(input.input, limits(input.input === "" ? COMMAND_S : INPUT_S)), { begun, workspace });
  }
  if (input.background === true) {
    const outcome = await shell.startBackground(input.command, limits(BACKGROUND_S));
    return render(outcome, { begun, workspace, process: outcome.name });
  }
  return render(await shell.run(input.command, input.input, limits(COMMAND_S)), { begun, workspace });
}

function render(outcome: ShellOutcome, call: { begun: number; workspace: string; process?: string }): ToolResult {
  const { output, end, cwd, notes } = outcome;
  const status = codeOf(end);
  const text = output.text === "" || output.text.endsWith("\n") ? output.text : `${output.text}\n`;
  const result: ToolResult = {
    status: end === undefined || status === 0 ? "ok" : "error",
    output: text + [...notes, lastLine(outcome, call)].join("\n"),
    data: {
      exit_code: status,
      cwd,
      timed_out: end === undefined,
      duration_ms: Math.round(performance.now() - call.begun),
      truncated: output.truncated,
      bytes: output.bytes,
      ...(call.process === undefined ? {} : { process: call.process }),
      ...(end !== undefined && end.kind !== "done" && call.process === undefined ? { shell_restarted: true } : {}),
    },
  };
  if (output.fullOutput !== undefined) result.fullOutput = output.fullOutput;
  return result;
}

function codeOf(end: ShellOutcome["end"]): number | null {
  if (end === undefined || end.kind === "not-taken") return null;
  return end.kind === "done" ? end.status : exitCode(end.status);
}

function lastLine({ end, cwd }: ShellOutcome, call: { begun: number; workspace: string; process?: string }): string {
  const seconds = ((performance.now() - call.begun) / 1000).toFixed(1);
  const place = relativePlace(call.workspace, cwd);
  if (call.process !== undefined) {
    if (end === undefined)
      return `[${call.process} is running; look again with process "${call.process}", stop it with input "C-c" or "SIGTERM"]`;
    return `[${call.process} has ended: ${end.kind === "shell-ended" ? describeExit(end.status) : `exit code ${codeOf(end)}`}]`;
  }
  if (end === undefined) return `[still running after ${seconds} s; continue with input: text, a key such as "C-c", or "" to wait]`;
  if (end.kind === "done") return `[exit code ${end.status}${place === "" ? "" : `, in ${place}`}]`;
  if (end.kind === "not-taken")
    return "[the shell did not take the command: it was stopped, or its terminal is out of order. A fresh one is ready: send it again]";
  return `[the shell ended (${describeExit(end.status)}), and what it had started with it. The next command gets a fresh one in ${place === "" ? "the workspace" : place} with the exported variables; functions and options are gone]`;
}

/** Empty for the workspace itself. */
function relativePlace(workspace: string, cwd: string): string {
  const relative = posix.relative(workspace, cwd);
  return relative.startsWith("..") ? cwd : relative;
}
