import { type Execution, type ExitStatus, GuildError, type OutputChunk } from "@guildhall/core";

import { ChangeSignal, type WaitEnd } from "./change-signal.ts";
import type { TerminalInput } from "./keys.ts";

/** After a process has ended, how long its terminal must be still for its output to count as complete while others hold it open. */
const STILL_MS = 25;

/**
 * A process on a terminal of its own, whose output is taken at all times, so that it never waits for somebody to look. `onChunk` gets the
 * output in order; the next chunk is read when it is done with one.
 */
export class TerminalProcess {
  readonly execution: Execution;
  /** Notified at each chunk, at the exit and at the end of the output. */
  readonly changes = new ChangeSignal();
  /** How it ended, once its output is complete as well. */
  ended: ExitStatus | undefined;
  /** When it last printed something, by `performance.now()`. */
  lastOutput = performance.now();
  readonly #pumped: Promise<void>;
  #outputOver = false;
  #fault: GuildError | undefined;

  constructor(execution: Execution, onChunk: (chunk: OutputChunk) => Promise<void>) {
    this.execution = execution;
    this.#pumped = this.#pump(onChunk);
    this.#watchExit().catch(() => undefined); // never rejects: `exit` promises so
  }

  /** Sends keys, text or a signal; does not wait for the process to read them. */
  async send(input: TerminalInput, to: "foreground" | "all"): Promise<void> {
    if (this.ended !== undefined) throw new GuildError("failed_precondition", "the process has ended");
    if (input.signal !== undefined) await this.execution.signal(input.signal, to);
    // A process that does not read holds the write back; the bytes are on their way in order, and gone with it.
    if (input.bytes !== undefined) this.execution.write(input.bytes).catch(() => undefined);
  }

  /**
   * Waits until `over` says so at a change, `ms` have passed, or the signal aborts. `quietMs`: also until it has printed something and
   * then nothing for so long, as a program does that has answered and waits for more.
   */
  async wait(over: () => boolean, limits: { ms: number; quietMs?: number; signal?: AbortSignal | undefined }): Promise<WaitEnd> {
    const begun = performance.now();
    while (!over()) {
      if (this.#fault !== undefined) throw this.#fault;
      const deadline = begun + limits.ms;
      const quiet = limits.quietMs !== undefined && this.lastOutput > begun ? this.lastOutput + limits.quietMs : deadline;
      const why = await this.changes.wait(Math.min(deadline, quiet) - performance.now(), limits.signal);
      if (why !== "changed" && !over()) return why;
    }
    return "changed";
  }

  /** Kills it with all that it started, and waits until its output has been taken. */
  async close(): Promise<void> {
    await this.execution.close();
    await this.#pumped;
  }

  async #pump(onChunk: (chunk: OutputChunk) => Promise<void>): Promise<void> {
    try {
      for await (const chunk of this.execution.output) {
        if (chunk.stream !== "control") this.lastOutput = performance.now();
        await onChunk(chunk);
        this.changes.notify();
      }
    } catch (error) {
      // Told to whoever waits; of a sandbox that is gone `exit` tells as well.
      this.#fault = GuildError.from(error);
    } finally {
      this.#outputOver = true;
      this.changes.notify();
    }
  }

  async #watchExit(): Promise<void> {
    const status = await this.execution.exit;
    let left = STILL_MS;
    const since = performance.now();
    while (!this.#outputOver && left > 0) {
      await this.changes.wait(left);
      left = Math.max(this.lastOutput, since) + STILL_MS - performance.now();
    }
    this.ended = status;
    this.changes.notify();
  }
}
