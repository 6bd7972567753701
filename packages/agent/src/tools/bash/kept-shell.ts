import { randomBytes } from "node:crypto";

import { type ExitStatus, GuildError, type OutputChunk, type Sandbox } from "@guildhall/core";

import { OutputRecorder, type RecordedOutput, type RecorderOptions } from "../output/output-recorder.ts";
import type { TerminalInput } from "./keys.ts";
import { MarkSplitter, type TerminalPart } from "./mark-splitter.ts";
import { commandLines, ReportReader, setUpLines, type ShellReport } from "./shell-script.ts";
import { TerminalProcess } from "./terminal-process.ts";

/** How bash is started for commands in the foreground: at a prompt, but without history, start-up files and line editing. */
const FLAGS = ["--norc", "--noprofile", "--noediting", "+H", "+o", "history", "-i"];
/** Output from between two commands that is held for taking the echo of our own lines out of it. */
const HELD_BYTES = 65_536;

export interface ShellOptions extends RecorderOptions {
  sandbox: Sandbox;
  /** Path of bash within the sandbox. */
  bash: string;
  env: Record<string, string>;
  rows: number;
  columns: number;
}

/** Where a shell stands: its directory, and shell code for what it exports. */
export interface ShellPlace {
  cwd: string;
  exports: string;
}

/** How a command ended. */
export type CommandEnd =
  | { kind: "done"; status: number; redirected: boolean }
  | { kind: "shell-ended"; status: ExitStatus }
  /** The shell did not take the command: somebody stopped it, or put its terminal out of order. */
  | { kind: "not-taken" };

/**
 * One running bash on a terminal, for one command at a time. It ends when bash ends, for whatever reason; who needs another makes a
 * new one from `place`.
 */
export class KeptShell {
  readonly process: TerminalProcess;
  readonly recorder: OutputRecorder;
  /** As far as known: after the last command, or at the shell's own end. */
  place: ShellPlace;
  readonly #splitter: MarkSplitter;
  readonly #reports = new ReportReader();
  /** Number of the command under way or last run. */
  #number = 0;
  #markedStart = 0;
  #markedEnd = -1;
  #begun = 0;
  #report: ShellReport | undefined;
  /** Between two commands: what came, until the next begins. */
  #between: Buffer[] | undefined = [];
  #betweenBytes = 0;
  #sent: string[] = [];

  /** Starts bash, in `place` when given. Throws when it cannot be started. */
  static async start(options: ShellOptions, place: ShellPlace | undefined): Promise<KeptShell> {
    const mark = randomBytes(16).toString("hex");
    const shell = await options.sandbox.exec({
      argv: [options.bash, ...FLAGS],
      env: options.env,
      terminal: { rows: options.rows, columns: options.columns },
      control: true,
      // A shell lives as long as its session; limits of time are for the calls.
      limits: { wallSeconds: 0, cpuSeconds: 0 },
    });
    return new KeptShell(shell, options, mark, place);
  }

  private constructor(
    execution: ConstructorParameters<typeof TerminalProcess>[0],
    options: ShellOptions,
    mark: string,
    place: ShellPlace | undefined,
  ) {
    this.place = place ?? { cwd: options.sandbox.workspace, exports: "" };
    this.recorder = new OutputRecorder(options);
    this.#splitter = new MarkSplitter(mark);
    this.process = new TerminalProcess(execution, (chunk) => this.#onChunk(chunk));
    this.#send(setUpLines(mark, place === undefined ? "" : restoring(place, options.sandbox.workspace)));
  }

  /** Begins a command. Throws `failed_precondition` while one is under way or when the shell has ended. */
  begin(command: string): void {
    if (this.busy) throw new GuildError("failed_precondition", "a command is still running");
    if (this.process.ended !== undefined) throw new GuildError("failed_precondition", "the shell has ended");
    this.#number += 1;
    this.#report = undefined;
    this.#begun = performance.now();
    this.#send(commandLines(this.#number, command));
  }

  /** Bash has taken the last command: it runs, or has ended. */
  get taken(): boolean {
    return this.#markedStart === this.#number || this.commandEnd !== undefined;
  }

  /** Milliseconds since the last command was sent. */
  get age(): number {
    return performance.now() - this.#begun;
  }

  get busy(): boolean {
    return this.#number > 0 && this.commandEnd === undefined;
  }

  /** How the last command ended; undefined while it runs. */
  get commandEnd(): CommandEnd | undefined {
    const report = this.#report;
    if (report?.number === this.#number && this.#markedEnd === this.#number) {
      return { kind: "done", status: report.status, redirected: report.kind === "redirected" };
    }
    return this.process.ended === undefined ? undefined : { kind: "shell-ended", status: this.process.ended };
  }

  input(input: TerminalInput): Promise<void> {
    return this.process.send(input, "foreground");
  }

  /** What was printed since the last time. */
  async takeOutput(): Promise<RecordedOutput> {
    if (this.process.ended !== undefined) await this.#releaseBetween();
    return this.recorder.take(this.commandEnd !== undefined);
  }

  #send(lines: string[]): void {
    this.#sent = lines;
    // Bash reads its lines at once; when it is gone instead, `ended` tells.
    this.process.execution.write(Buffer.from(lines.join(""))).catch(() => undefined);
  }

  async #onChunk(chunk: OutputChunk): Promise<void> {
    if (chunk.stream === "control") {
      for (const report of this.#reports.push(chunk.bytes)) {
        this.place = { cwd: report.cwd === "" ? this.place.cwd : report.cwd, exports: report.exports };
        if (report.kind !== "last") this.#report = report;
      }
      return;
    }
    for (const part of this.#splitter.push(chunk.bytes)) await this.#onPart(part);
  }

  async #onPart(part: TerminalPart): Promise<void> {
    if (part.kind === "bytes") {
      await this.#onBytes(part.bytes);
    } else if (part.kind === "start") {
      this.#markedStart = part.number;
      await this.#releaseBetween();
      this.#between = undefined;
    } else {
      this.#markedEnd = part.number;
      this.#between = [];
      this.#betweenBytes = 0;
    }
  }

  async #onBytes(bytes: Uint8Array): Promise<void> {
    if (this.#between === undefined) await this.recorder.write(bytes);
    // What comes before the first end is bash's own start.
    else if (this.#markedEnd >= 0) {
      this.#between.push(Buffer.from(bytes));
      this.#betweenBytes += bytes.length;
      if (this.#betweenBytes > HELD_BYTES) await this.#releaseBetween();
    }
  }

  /** Output of jobs in the background from between two commands; our own lines are in it when somebody has turned echo on. */
  async #releaseBetween(): Promise<void> {
    if (this.#between === undefined || this.#between.length === 0) return;
    let text = Buffer.concat(this.#between).toString("latin1");
    this.#between = [];
    this.#betweenBytes = 0;
    for (const line of this.#sent) {
      const echoed = Buffer.from(line.trimEnd()).toString("latin1");
      if (text.includes(echoed)) text = text.replace(echoed, "").replace(/^\r?\n/, "");
    }
    if (text !== "") await this.recorder.write(Buffer.from(text, "latin1"));
  }
}

/** Exported PWD says where the former shell was; `cd` puts right where this one is. */
function restoring({ cwd, exports }: ShellPlace, workspace: string): string {
  const quoted = [cwd, workspace].map((path) => `'${path.replaceAll("'", String.raw`'\''`)}'`);
  return `${exports}\nbuiltin cd -- ${quoted[0]} 2>/dev/null || builtin cd -- ${quoted[1]}`;
}
