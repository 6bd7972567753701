import {
  GuildError,
  type PartAction,
  type PartNotice,
  type Sandbox,
  type SessionPart,
  type SessionState,
  type ToolResult,
} from "@guildhall/core";
import type { TurnEnded } from "@guildhall/protocol";

import { bounded } from "../foreign/line.ts";
import { type Hooks, matches } from "./hooks.ts";

export interface HookPartOptions {
  sandbox: Promise<Sandbox>;
  /** Those that count now. Throws a GuildError for a file that cannot be read: then no tool runs. */
  hooks(): readonly Hooks[];
  /** A hook that went wrong without saying no. */
  failed(line: string): void;
}

/** Characters of a hook's words that are passed on. */
const MOST = 4_000;

/**
 * Runs commands before and after tools and turns, in the session's sandbox, with what it is about as JSON on their standard input. Before a tool: exit
 * code 0 lets it run; any other refuses it, with the standard error as the reason, and so does what keeps a hook from running. After a
 * tool, and before a turn: the standard output is added for the model. After a turn: nothing is expected of it.
 */
export class HookPart implements SessionPart {
  readonly name = "hooks";
  readonly #options: HookPartOptions;
  #turn = -1;

  constructor(options: HookPartOptions) {
    this.#options = options;
    options.sandbox.catch(() => undefined); // Without one nothing is run, and nothing needs a hook.
  }

  async beforeAction(action: PartAction, signal: AbortSignal): Promise<string | undefined> {
    for (const { match, command, timeout_s: seconds } of this.#options.hooks().flatMap((one) => one.before_tool)) {
      if (!matches(match, action.tool)) continue;
      const { code, stdout, stderr, late } = await this.#run(
        command,
        seconds,
        { event: "before_tool", tool: action.tool, input: action.input },
        signal,
      );
      if (late) return `the hook \`${bounded(command, 80)}\` did not end within ${seconds} s`;
      if (code !== 0) return bounded(stderr.trim() || stdout.trim() || `the hook \`${command}\` ended with ${code}`, 1_000);
    }
    return undefined;
  }

  async afterAction(action: PartAction, result: ToolResult, signal: AbortSignal): Promise<string | undefined> {
    const about = {
      event: "after_tool",
      tool: action.tool,
      input: action.input,
      status: result.status,
      output: bounded(result.output, 30_000),
    };
    const said: string[] = [];
    for (const { match, command, timeout_s: seconds } of this.#options.hooks().flatMap((one) => one.after_tool)) {
      if (matches(match, action.tool)) said.push(await this.#words(command, seconds, about, signal));
    }
    return said.filter((text) => text !== "").join("\n") || undefined;
  }

  async beforeStep(state: SessionState, signal: AbortSignal): Promise<PartNotice[]> {
    if (state.lastMessageSeq === this.#turn) return [];
    this.#turn = state.lastMessageSeq;
    const said: string[] = [];
    for (const { command, timeout_s: seconds } of this.#options.hooks().flatMap((one) => one.before_turn)) {
      said.push(await this.#words(command, seconds, { event: "before_turn" }, signal));
    }
    return said.filter((text) => text !== "").map((text) => ({ kind: "hooks", text }));
  }

  async turnEnded(end: TurnEnded): Promise<void> {
    for (const { command, timeout_s: seconds } of this.#options.hooks().flatMap((one) => one.after_turn)) {
      await this.#words(
        command,
        seconds,
        { event: "after_turn", summary: end.summary, detail: end.detail },
        AbortSignal.timeout(seconds * 1000),
      );
    }
  }

  /** What it says on its standard output; one that fails says nothing and is reported. */
  async #words(command: string, seconds: number, about: object, signal: AbortSignal): Promise<string> {
    try {
      const { code, stdout, stderr, late } = await this.#run(command, seconds, about, signal);
      if (code === 0) return bounded(stdout.trim(), MOST);
      this.#options.failed(
        `hook \`${bounded(command, 80)}\`: ${late ? "took too long" : bounded(stderr.trim() || `exit code ${code}`, 300)}`,
      );
    } catch (error) {
      this.#options.failed(`hook \`${bounded(command, 80)}\`: ${GuildError.from(error).line}`);
    }
    return "";
  }

  async #run(
    command: string,
    seconds: number,
    about: object,
    signal: AbortSignal,
  ): Promise<{ code: number; stdout: string; stderr: string; late: boolean }> {
    const sandbox = await this.#options.sandbox;
    const execution = await sandbox.exec({ argv: ["bash", "-c", command], input: true, limits: { wallSeconds: seconds } }, signal);
    const tell = async (): Promise<void> => {
      await execution.write(Buffer.from(`${JSON.stringify(about)}\n`));
      await execution.closeInput();
    };
    tell().catch(() => undefined); // A hook that does not read its input has no use for it.
    const said = { stdout: "", stderr: "" };
    for await (const { stream, bytes } of execution.output) {
      if (stream !== "control") said[stream] = `${said[stream]}${Buffer.from(bytes).toString("utf8")}`.slice(0, MOST * 2);
    }
    const { code, limit } = await execution.exit;
    await execution.close();
    return { code: code ?? 1, ...said, late: limit !== undefined };
  }
}
