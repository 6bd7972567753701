import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

import { type Execution, type ExitStatus, GuildError, type Sandbox } from "@guildhall/core";

import { ChangeSignal } from "../bash/change-signal.ts";
import { OutputRecorder, type RecordedOutput, type RecorderOptions } from "../output/output-recorder.ts";
import { encodeMessage, MarkedStream, type ReplReply, ReplyReader } from "./protocol.ts";

/** How one interpreter is started and stopped. */
export interface Interpreter {
  /** `python`. */
  name: string;
  /** Program and arguments before the mark. */
  argv: [string, ...string[]];
  env: Record<string, string>;
  /** It stops when its driver is told to; else SIGINT alone does it. */
  interruptMessage: boolean;
}

/** How a request ended. */
export type ReplEnd = { kind: "reply"; reply: ReplReply } | { kind: "ended"; status: ExitStatus } | { kind: "stuck" };

export interface ReplOutcome {
  end: ReplEnd;
  /** It was stopped because its time was up. */
  timedOut: boolean;
  output: RecordedOutput;
}

/** After an interrupt, how long an interpreter may take to come back. */
const GRACE_MS = 3_000;
/** How long to wait for the output of what has ended, when something else holds its streams. */
const MARKS_MS = 250;

/** One running interpreter, for one request at a time. Its output is taken at all times. */
export class ReplProcess {
  readonly #execution: Execution;
  readonly #interpreter: Interpreter;
  readonly #recorder: OutputRecorder;
  readonly #changes = new ChangeSignal();
  readonly #replies = new ReplyReader();
  readonly #streams: Record<"stdout" | "stderr", MarkedStream>;
  readonly #pumped: Promise<void>;
  #reply: ReplReply | undefined;
  #ended: ExitStatus | undefined;
  #fault: GuildError | undefined;
  #requests = 0;
  #chunks = 0;

  /** Throws `not_found` when there is no such interpreter in the sandbox. */
  static async start(sandbox: Sandbox, interpreter: Interpreter, recorder: RecorderOptions): Promise<ReplProcess> {
    const mark = `\x1e${randomBytes(16).toString("hex")}\x1e`;
    const execution = await sandbox.exec({
      argv: [...interpreter.argv, mark],
      env: interpreter.env,
      input: true,
      control: true,
      // It lives as long as its session; limits of time are for the calls.
      limits: { wallSeconds: 0, cpuSeconds: 0 },
    });
    return new ReplProcess(execution, interpreter, recorder, mark);
  }

  private constructor(execution: Execution, interpreter: Interpreter, recorder: RecorderOptions, mark: string) {
    this.#execution = execution;
    this.#interpreter = interpreter;
    this.#recorder = new OutputRecorder(recorder);
    this.#streams = { stdout: new MarkedStream(mark), stderr: new MarkedStream(mark) };
    this.#pumped = this.#pump();
    execution.exit.then(
      (status) => {
        this.#ended = status;
        this.#changes.notify();
      },
      () => undefined, // never rejects: `exit` promises so
    );
  }

  get ended(): boolean {
    return this.#ended !== undefined;
  }

  /** Runs code to its end, or stops it when its time is up or the call is cancelled. */
  async run(code: string, limits: { timeoutMs: number; signal: AbortSignal; progress(text: string): void }): Promise<ReplOutcome> {
    const id = (this.#requests += 1);
    this.#recorder.onText = limits.progress;
    // A driver that has gone does not read: its exit tells.
    this.#execution.write(encodeMessage({ id, code })).catch(() => undefined);
    const over = (): boolean => this.#reply?.id === id || this.#ended !== undefined || this.#fault !== undefined;
    let stopped = await this.#until(over, limits.timeoutMs, limits.signal);
    const timedOut = stopped && !limits.signal.aborted;
    if (stopped) {
      await this.interrupt();
      stopped = await this.#until(over, GRACE_MS);
    }
    if (this.#fault !== undefined && this.#ended === undefined) throw this.#fault;
    const marked = (): boolean => this.#ended !== undefined || Object.values(this.#streams).every(({ marks }) => marks >= id);
    // As long as more comes, the marks are still to come.
    for (let before = -1; before < this.#chunks && !marked();) {
      before = this.#chunks;
      await this.#until(marked, MARKS_MS);
    }
    const output = await this.#recorder.take(this.#ended !== undefined || marked());
    if (this.#reply?.id === id) return { end: { kind: "reply", reply: this.#reply }, timedOut, output };
    return { end: this.#ended === undefined ? { kind: "stuck" } : { kind: "ended", status: this.#ended }, timedOut, output };
  }

  async interrupt(): Promise<void> {
    if (this.#ended !== undefined) return;
    if (this.#interpreter.interruptMessage) {
      // May be lost: an interpreter that is gone or does not read gets the signal below all the same.
      this.#execution.write(encodeMessage({ id: 0, code: "", interrupt: true })).catch(() => undefined);
    }
    // What it waits for (a child process) has to stop too.
    await this.#execution.signal("SIGINT", "all");
  }

  async close(): Promise<void> {
    await this.#execution.close();
    await this.#pumped;
  }

  /** True: the time was up, or the signal aborted. */
  async #until(over: () => boolean, ms: number, signal?: AbortSignal): Promise<boolean> {
    const deadline = performance.now() + ms;
    while (!over()) {
      const why = await this.#changes.wait(deadline - performance.now(), signal);
      if (why !== "changed" && !over()) return true;
    }
    return false;
  }

  async #pump(): Promise<void> {
    try {
      for await (const { stream, bytes } of this.#execution.output) {
        if (stream === "control") for (const reply of this.#replies.push(bytes)) this.#reply = reply;
        else for (const part of this.#streams[stream].push(bytes)) await this.#recorder.write(part);
        this.#chunks += 1;
        this.#changes.notify();
      }
    } catch (error) {
      this.#fault = GuildError.from(error);
      await sleep(0);
      this.#changes.notify();
    }
  }
}
