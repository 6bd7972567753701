import { constants } from "node:os";
import { createContext, runInContext } from "node:vm";

import { type ActionRisk, type CommandJudge, GuildError, type Sandbox, type ToolContext, type ToolResult } from "@guildhall/core";
import { Risk } from "@guildhall/protocol";
import { z } from "zod";

import { assessInput, type BashOptions, shellSession } from "../bash/bash.ts";
import { commandRisk } from "../bash/command-risk.ts";
import { type BackgroundProcess, describeExit, type ShellSession } from "../bash/shell-session.ts";
import { boundText } from "../bounded-text.ts";
import { defineTool } from "../define-tool.ts";
import { leavingByCommand } from "../leaving.ts";
import { listeningPorts } from "../system/listening-ports.ts";

const schema = z.strictObject({
  action: z.enum(["start", "list", "output", "input", "signal", "wait", "stop"]),
  command: z.string().min(1).optional().describe("start: what to run"),
  process: z.string().optional().describe("Its name, such as p1"),
  input: z.string().optional().describe("input: text (Enter is added) or keys, as for bash"),
  signal: z.string().optional().describe("signal: such as SIGHUP"),
  port: z.int().min(1).max(65_535).optional().describe("start, wait: until it is listened on"),
  pattern: z.string().min(1).optional().describe("start, wait: until the output matches this regular expression"),
  timeout_s: z.number().positive().max(3600).optional().describe("start, wait: default 30; stop: before it is killed, default 5"),
});

type ProcessInput = z.output<typeof schema>;

const WAIT_S = 30;
const STOP_S = 5;
/** Nothing tells when a port is listened on: how often it is looked at, milliseconds. */
const PORT_MS = 60;
const OUTPUT_LIMIT = 16_000;

/** Processes in the background of the session's shell, the same that bash starts; see docs/tools.md. */
export function createProcessTool(options: BashOptions = {}) {
  return defineTool({
    name: "process",
    description: "Start processes in the background, wait for a port, a pattern or the end, read, feed, signal and stop them.",
    lazy: true,
    schema,
    risk: ({ action, command }) =>
      action === "start" ? commandRisk(command ?? "") : action === "list" || action === "output" ? Risk.LOW : Risk.MEDIUM,
    assess: (input: ProcessInput, judge: CommandJudge): ActionRisk => {
      if (input.action === "start") return judge.judge(input.command ?? "");
      return input.action === "input" ? assessInput(input.input, judge) : { risk: Risk.LOW, reasons: [] };
    },
    resources: ({ action, process }) => {
      if (action === "list") return [{ name: "shell:main", access: "read" }];
      if (action !== "start") return [{ name: `shell:${process ?? "main"}`, access: "write" }];
      return [
        { name: "shell:main", access: "write" },
        { name: "workspace", access: "write" },
      ];
    },
    sends: ({ command, input }) => leavingByCommand(command) ?? leavingByCommand(input),
    async execute(input, context) {
      try {
        return await act(shellSession(context.session, options), input, context);
      } catch (error) {
        if (GuildError.is(error) && ["failed_precondition", "invalid_argument", "not_found", "resource_exhausted"].includes(error.code)) {
          return { status: "error", output: error.line };
        }
        throw error;
      }
    },
  });
}

async function act(shell: ShellSession, input: ProcessInput, context: ToolContext): Promise<ToolResult> {
  const { signal } = context;
  const progress = (text: string): void => context.progress(text);
  const now = { timeoutMs: 0, signal, progress };
  switch (input.action) {
    case "list":
      return list(shell);
    case "start": {
      const command = need(input.command, "start", "command");
      const waits = input.port !== undefined || input.pattern !== undefined;
      const started = await shell.startBackground(command, { ...now, timeoutMs: waits ? 0 : (input.timeout_s ?? 0.5) * 1000 });
      if (waits && started.end === undefined) return wait(shell, started.name, input, context, started.output.text);
      return describe(shell.background(started.name), started.output.text);
    }
    case "wait":
      return wait(shell, need(input.process, "wait", "process"), input, context);
    case "output":
    case "input": {
      const name = need(input.process, input.action, "process");
      const text = input.action === "output" ? "" : need(input.input, "input", "input");
      const { output } = await shell.feedBackground(name, text, { ...now, timeoutMs: text === "" ? 0 : 5_000 });
      return describe(shell.background(name), output.text);
    }
    case "signal": {
      const one = running(shell, need(input.process, "signal", "process"));
      const wanted = need(input.signal, "signal", "signal").toUpperCase();
      const name = wanted.startsWith("SIG") ? wanted : `SIG${wanted}`;
      if (!Object.hasOwn(constants.signals, name)) throw new GuildError("invalid_argument", `there is no signal ${input.signal}`);
      await one.process.execution.signal(name, "all");
      const { output } = await shell.feedBackground(one.name, "", { ...now, timeoutMs: 100 });
      return describe(one, output.text);
    }
    default: {
      const one = running(shell, need(input.process, "stop", "process"));
      await one.process.execution.signal("SIGTERM", "all");
      const over = (): boolean => one.process.ended !== undefined;
      if ((await one.process.wait(over, { ms: (input.timeout_s ?? STOP_S) * 1000, signal })) !== "changed") {
        await one.process.execution.signal("SIGKILL", "all");
        await one.process.wait(over, { ms: 2_000, signal });
      }
      const { output } = await shell.feedBackground(one.name, "", now);
      return describe(one, output.text);
    }
  }
}

/** Until what is waited for, the end of the process, or the end of the time; the process runs on. */
async function wait(shell: ShellSession, name: string, input: ProcessInput, context: ToolContext, before = ""): Promise<ToolResult> {
  const one = shell.background(name);
  const matches = input.pattern === undefined ? undefined : matcher(input.pattern);
  const seconds = input.timeout_s ?? WAIT_S;
  const deadline = performance.now() + seconds * 1000;
  const waits = matches !== undefined || input.port !== undefined;
  let printed = before;
  for (;;) {
    context.signal.throwIfAborted();
    const { count } = one.process.changes;
    const last = one.process.ended !== undefined;
    if (!(last && one.told)) {
      const { output } = await shell.feedBackground(name, "", {
        timeoutMs: 0,
        signal: context.signal,
        progress: (text) => context.progress(text),
      });
      printed = boundText(printed + output.text, OUTPUT_LIMIT);
    }
    const matched = matches?.(one.tail) ?? true;
    const open = input.port === undefined || (await isListening(context.session.sandbox, input.port));
    if (waits && matched && open) return describe(one, printed, "met");
    if (last) return describe(one, printed, waits ? "ended" : "met");
    const left = deadline - performance.now();
    if (left <= 0) return describe(one, printed, "timed_out", `[still waiting after ${seconds} s]`);
    await one.process.changes.wait(Math.min(left, input.port === undefined ? left : PORT_MS), context.signal, count);
  }
}

async function isListening(sandbox: Sandbox, port: number): Promise<boolean> {
  const ports = await listeningPorts(sandbox.files);
  return ports.some((one) => one.protocol === "tcp" && one.port === port);
}

/** A regular expression that comes to an end: one that takes longer than a moment is refused. */
function matcher(pattern: string): (text: string) => boolean {
  const place = createContext({ pattern, text: "", found: false });
  const run = (code: string): void => {
    try {
      runInContext(code, place, { timeout: 250 });
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      throw new GuildError(
        "invalid_argument",
        `the pattern cannot be used: ${message.replace("Script execution timed out", "it takes too long to match")}`,
        { cause: error },
      );
    }
  };
  run("expression = new RegExp(pattern, 'm')");
  return (text) => {
    place["text"] = text;
    run("found = expression.test(text)");
    return place["found"] === true;
  };
}

function running(shell: ShellSession, name: string): BackgroundProcess {
  const one = shell.background(name);
  if (one.process.ended !== undefined)
    throw new GuildError("failed_precondition", `${name} has ended (${describeExit(one.process.ended)})`);
  return one;
}

function list(shell: ShellSession): ToolResult {
  const rows = shell.processes.map((one) => ({ ...facts(one), command: one.command }));
  const lines = shell.processes.map((one) => `${one.name}  ${stateOf(one).padEnd(24)} ${one.command.split("\n")[0]?.slice(0, 120) ?? ""}`);
  return { status: "ok", output: lines.length === 0 ? "No process was started." : lines.join("\n"), data: { processes: rows } };
}

function describe(one: BackgroundProcess, output: string, outcome?: "met" | "ended" | "timed_out", note = ""): ToolResult {
  const text = output === "" || output.endsWith("\n") ? output : `${output}\n`;
  const status = outcome === "ended" || outcome === "timed_out" ? "error" : "ok";
  const last = [note, `[${one.name}: ${stateOf(one)}]`].filter((line) => line !== "").join("\n");
  return { status, output: text + last, data: { ...facts(one), ...(outcome === undefined ? {} : { outcome }) } };
}

function facts(one: BackgroundProcess): Record<string, unknown> {
  const { ended, execution } = one.process;
  return {
    process: one.name,
    pid: execution.pid,
    running: ended === undefined,
    exit_code: ended?.code ?? null,
    signal: ended?.signal ?? null,
  };
}

function stateOf(one: BackgroundProcess): string {
  const { ended } = one.process;
  return ended === undefined ? `running for ${Math.round((performance.now() - one.started) / 1000)} s` : `ended, ${describeExit(ended)}`;
}

function need<T>(value: T | undefined, action: string, name: string): T {
  if (value === undefined) throw new GuildError("invalid_argument", `${action} needs ${name}`);
  return value;
}
