import { constants } from "node:os";

import { GuildError } from "../errors.ts";
import type { ExecSpec, Execution, ExitStatus, OutputChunk, OutputStream, SandboxFiles } from "../ports/sandbox.ts";

/** What a fake program gets. */
export interface FakeProcess {
  argv: readonly string[];
  cwd: string;
  env: Readonly<Record<string, string>>;
  files: SandboxFiles;
  /** Ends when the input is closed; empty when there is none. */
  input: AsyncIterable<Uint8Array>;
  /** Waits while nobody reads. */
  write(stream: OutputStream, bytes: Uint8Array | string): Promise<void>;
  /** Aborts when the process is killed: whatever the program does afterwards reaches nobody. */
  killed: AbortSignal;
}

/** A program of a fake sandbox: returns its exit code. */
export type FakeProgram = (self: FakeProcess) => Promise<number> | number;

/** As many bytes as a pipe holds back. */
const BUFFERED = 64 * 1024;

/** A program run as a function of this process: streams with back-pressure, signals that end it, a limit of wall time. */
export class FakeExecution implements Execution {
  readonly pid: number;
  readonly output: AsyncIterable<OutputChunk>;
  readonly exit: Promise<ExitStatus>;
  readonly #output = new BoundedQueue<OutputChunk>((chunk) => chunk.bytes.length);
  readonly #input = new BoundedQueue<Uint8Array>((bytes) => bytes.length);
  readonly #spec: ExecSpec;
  readonly #killed = new AbortController();
  readonly #ended = Promise.withResolvers<ExitStatus>();
  readonly #started = performance.now();
  #onEnd: (() => void) | undefined;

  /** `onEnd` is called once. */
  constructor(pid: number, spec: ExecSpec, program: FakeProgram, place: Pick<FakeProcess, "cwd" | "env" | "files">, onEnd: () => void) {
    this.pid = pid;
    this.#spec = spec;
    this.output = this.#output;
    this.exit = this.#ended.promise;
    if (spec.input !== true) this.#input.end();
    const self: FakeProcess = {
      ...place,
      argv: spec.argv,
      input: this.#input,
      killed: this.#killed.signal,
      write: async (stream, bytes) => {
        if (this.#killed.signal.aborted || (stream === "control" && spec.control !== true)) return;
        await this.#output.put({ stream, bytes: typeof bytes === "string" ? Buffer.from(bytes) : bytes });
      },
    };
    const wall = spec.limits?.wallSeconds;
    const timer = wall === undefined ? undefined : setTimeout(() => this.#end(undefined, "SIGKILL", "wall"), wall * 1000);
    this.#onEnd = () => {
      clearTimeout(timer);
      onEnd();
    };
    // A program that throws ends with its error on standard error, and 1.
    Promise.resolve()
      .then(() => program(self))
      .then(
        (code) => this.#end(code),
        (error: unknown) => {
          const bytes = Buffer.from(`${GuildError.from(error).line}\n`);
          if (!this.#killed.signal.aborted) this.#output.force({ stream: "stderr", bytes });
          this.#end(1);
        },
      );
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#spec.input !== true || this.#input.ended) {
      throw new GuildError("failed_precondition", "this process has no input", { subject: this.#spec.argv[0] });
    }
    await this.#input.put(bytes);
  }

  async closeInput(): Promise<void> {
    this.#input.end();
  }

  async signal(name: string): Promise<void> {
    if (!(name in constants.signals)) throw new GuildError("invalid_argument", `there is no signal ${name}`);
    if (!PASSED_OVER.has(name)) this.#end(undefined, name);
  }

  async resize(): Promise<void> {
    throw new GuildError("failed_precondition", "this process has no terminal", { subject: this.#spec.argv[0] });
  }

  async close(): Promise<void> {
    if (this.#spec.detached !== true) this.#end(undefined, "SIGKILL");
    this.#output.leave();
  }

  /** Ends it as a limit does. */
  kill(limit?: string): void {
    this.#end(undefined, "SIGKILL", limit);
  }

  #end(code: number | undefined, signal?: string, limit?: string): void {
    if (signal !== undefined) this.#killed.abort();
    this.#input.leave();
    this.#output.end();
    const cpuMs = performance.now() - this.#started;
    this.#ended.resolve({ code, signal, limit, cpuMs, maxRssBytes: 1 });
    this.#onEnd?.();
    this.#onEnd = undefined;
  }
}

/** Signals that end nothing by default. */
const PASSED_OVER = new Set(["SIGCHLD", "SIGCONT", "SIGURG", "SIGWINCH"]);

/** Values from one side to the other; putting waits while too much lies there. */
class BoundedQueue<T> implements AsyncIterable<T> {
  readonly #size: (value: T) => number;
  readonly #waiting: T[] = [];
  #held = 0;
  #changed = Promise.withResolvers<void>();
  #state: "open" | "ended" | "left" = "open";

  constructor(size: (value: T) => number) {
    this.#size = size;
  }

  get ended(): boolean {
    return this.#state !== "open";
  }

  /** Throws `failed_precondition` when the other side has gone before it was taken. */
  async put(value: T): Promise<void> {
    while (this.#held >= BUFFERED && this.#state === "open") await this.#changed.promise;
    if (this.#state !== "open") throw new GuildError("failed_precondition", "nobody reads this any more");
    this.force(value);
  }

  /** Puts without waiting, though too much lies there already. */
  force(value: T): void {
    if (this.#state !== "open") return;
    this.#waiting.push(value);
    this.#held += this.#size(value);
    this.#wake();
  }

  /** Nothing more comes; what lies there is still taken. */
  end(): void {
    if (this.#state === "open") this.#state = "ended";
    this.#wake();
  }

  /** Nobody takes any more. */
  leave(): void {
    this.#state = "left";
    this.#waiting.length = 0;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      const value = this.#waiting.shift();
      if (value !== undefined) {
        this.#held -= this.#size(value);
        this.#wake();
        yield value;
      } else if (this.#state === "open") await this.#changed.promise;
      else return;
    }
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}

/** What every fake sandbox can run, as POSIX has it. */
export const FAKE_PROGRAMS: Readonly<Record<string, FakeProgram>> = {
  true: () => 0,
  false: () => 1,
  async echo({ argv, write }) {
    await write("stdout", `${argv.slice(1).join(" ")}\n`);
    return 0;
  },
  async pwd({ cwd, write }) {
    await write("stdout", `${cwd}\n`);
    return 0;
  },
  async env({ env, write }) {
    await write(
      "stdout",
      Object.entries(env)
        .map(([name, value]) => `${name}=${value}\n`)
        .join(""),
    );
    return 0;
  },
  async cat({ argv, input, write, files, cwd }) {
    let code = 0;
    for (const path of argv.slice(1)) {
      try {
        await write("stdout", await files.read(path.startsWith("/") ? path : `${cwd}/${path}`));
      } catch (error) {
        await write("stderr", `cat: ${GuildError.from(error).line}\n`);
        code = 1;
      }
    }
    if (argv.length === 1) for await (const bytes of input) await write("stdout", bytes);
    return code;
  },
  async sleep({ argv, killed }) {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, Number(argv[1]) * 1000);
    killed.addEventListener("abort", () => resolve(), { once: true });
    await promise;
    clearTimeout(timer);
    return 0;
  },
};
