import { type Execution, GuildError } from "@guildhall/core";

/** An event of the browser or of one of its pages. */
export interface DevtoolsEvent {
  method: string;
  params: Record<string, unknown>;
  /** Empty: of the browser itself. */
  session: string;
}

/** Longest message taken from the browser: what runs in the sandbox can write to its pipe. */
const LONGEST = 96 * 1024 * 1024;

/**
 * The DevTools protocol over a process's standard streams: each message is JSON with a NUL behind it. What comes is a stranger's: nothing in it
 * is followed on the host, and what is no message ends the connection.
 */
export class Devtools {
  readonly #execution: Execution;
  readonly #waiting = new Map<number, { resolve(value: Record<string, unknown>): void; reject(error: GuildError): void; method: string }>();
  readonly #onEvent: (event: DevtoolsEvent) => void;
  readonly ended: Promise<string>;
  #parts: Uint8Array[] = [];
  #size = 0;
  #said = "";
  #next = 0;
  #over: string | undefined;

  constructor(execution: Execution, onEvent: (event: DevtoolsEvent) => void) {
    this.#execution = execution;
    this.#onEvent = onEvent;
    this.ended = this.#pump();
  }

  /** Throws `failed_precondition` with the browser's words when it refuses, `unavailable` when it has gone, `cancelled` by the signal. */
  async send(method: string, params: Record<string, unknown> = {}, session = "", signal?: AbortSignal): Promise<Record<string, unknown>> {
    if (this.#over !== undefined) throw gone(this.#over);
    const id = (this.#next += 1);
    const answer = Promise.withResolvers<Record<string, unknown>>();
    this.#waiting.set(id, { ...answer, method });
    const stop = (): void =>
      answer.reject(GuildError.is(signal?.reason) ? signal.reason : new GuildError("cancelled", `${method} was cancelled`));
    signal?.addEventListener("abort", stop, { once: true });
    if (signal?.aborted === true) stop();
    try {
      const message = JSON.stringify({ id, method, params, ...(session === "" ? {} : { sessionId: session }) });
      // A browser that is gone says so through `ended`.
      this.#execution.write(Buffer.from(`${message}\0`)).catch(() => undefined);
      return await answer.promise;
    } finally {
      this.#waiting.delete(id);
      signal?.removeEventListener("abort", stop);
    }
  }

  /** Kills what still runs of it. */
  async end(): Promise<void> {
    await this.#execution.close();
    await this.ended;
  }

  async #pump(): Promise<string> {
    let why = "it closed its pipe";
    try {
      for await (const { stream, bytes } of this.#execution.output) {
        if (stream === "stdout") this.#push(bytes);
        else this.#said = (this.#said + Buffer.from(bytes).toString()).slice(-2_000);
      }
      const { code, signal, limit } = await this.#execution.exit;
      const said = this.#said.trim().split("\n").at(-1) ?? "";
      why = `${limit === undefined ? (signal ?? `exit code ${code}`) : `limit of ${limit}`}${said === "" ? "" : `: ${said.slice(0, 300)}`}`;
    } catch (error) {
      why = GuildError.from(error).line;
    }
    this.#over = why;
    for (const { reject } of this.#waiting.values()) reject(gone(why));
    await this.#execution.close();
    return why;
  }

  #push(bytes: Uint8Array): void {
    let from = 0;
    for (let end = bytes.indexOf(0); end !== -1; end = bytes.indexOf(0, from)) {
      this.#parts.push(bytes.subarray(from, end));
      const text = Buffer.concat(this.#parts).toString();
      this.#parts = [];
      this.#size = 0;
      from = end + 1;
      this.#take(text);
    }
    this.#parts.push(bytes.subarray(from));
    this.#size += bytes.length - from;
    if (this.#size > LONGEST) throw new GuildError("resource_exhausted", `the browser sent a message of more than ${LONGEST} bytes`);
  }

  #take(text: string): void {
    const message = JSON.parse(text) as {
      id?: number;
      method?: string;
      params?: unknown;
      sessionId?: string;
      result?: unknown;
      error?: { message?: string };
    };
    if (message.id === undefined) {
      this.#onEvent({ method: String(message.method), params: record(message.params), session: message.sessionId ?? "" });
      return;
    }
    const waiting = this.#waiting.get(message.id);
    if (message.error === undefined) waiting?.resolve(record(message.result));
    else
      waiting?.reject(
        new GuildError("failed_precondition", `the browser refuses ${waiting.method}: ${String(message.error.message).slice(0, 300)}`),
      );
  }
}

/** What is no object is an empty one: the other side promises nothing. */
export function record(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

export function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

export function list(value: unknown): unknown[] {
  return Array.isArray(value) ? (value as unknown[]) : [];
}

function gone(why: string): GuildError {
  return new GuildError("unavailable", `the browser has ended (${why})`, { remedy: "the next call starts a fresh one" });
}
