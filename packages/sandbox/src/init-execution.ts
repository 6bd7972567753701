import { constants } from "node:os";

import {
  GuildError,
  pathToBytes,
  type ExecSpec,
  type Execution,
  type ExitStatus,
  type OutputChunk,
  type SandboxLimits,
} from "@guildhall/core";

import { ByteChannel, OUTPUT_WINDOW } from "./wire/byte-channel.ts";
import type { InitConnection } from "./wire/connection.ts";
import { FrameBuilder, ToInit, type FrameReader } from "./wire/frame.ts";
import { initError } from "./wire/init-error.ts";

export interface ExecutionContext {
  connection: InitConnection;
  workspace: string;
  /** Environment of every process, before the execution's own. */
  env: Readonly<Record<string, string>>;
  limits: Pick<SandboxLimits, "cpuSeconds" | "fileBytes" | "openFiles" | "wallSeconds">;
  /** Completes an exit status with what only the host can see: the cgroup's reasons. */
  explain?(status: ExitStatus): ExitStatus;
}

/** Starts a process. Rejects with `not_found`, `permission_denied`, `resource_exhausted`, `cancelled`, `unavailable`. */
export async function startExecution(context: ExecutionContext, spec: ExecSpec, signal?: AbortSignal): Promise<Execution> {
  if (signal?.aborted) throw new GuildError("cancelled", `${spec.argv[0]} was not started: cancelled`);
  const { connection } = context;
  const id = connection.newId();
  const execution = new InitExecution(context, id, spec);
  const { errno, payload } = await connection.request(id, execFrame(context, id, spec)).catch((error: unknown) => {
    connection.unlisten(id);
    throw error;
  });
  if (errno !== 0) {
    connection.unlisten(id);
    throw initError(errno, "cannot start", spec.argv[0]);
  }
  execution.started(payload.u32());
  if (signal !== undefined && spec.detached !== true) execution.closeOn(signal);
  if (signal?.aborted && spec.detached !== true) {
    await execution.close();
    throw new GuildError("cancelled", `${spec.argv[0]} was cancelled`);
  }
  return execution;
}

const Flag = { terminal: 1, input: 2, control: 4, detached: 8 } as const;

function execFrame(context: ExecutionContext, id: number, spec: ExecSpec): FrameBuilder {
  const limits = { ...context.limits, ...spec.limits };
  const env = { TERM: spec.terminal === undefined ? "dumb" : "xterm-256color", ...context.env, ...spec.env };
  const flags =
    (spec.terminal === undefined ? 0 : Flag.terminal) |
    (spec.input === true ? Flag.input : 0) |
    (spec.control === true ? Flag.control : 0) |
    (spec.detached === true ? Flag.detached : 0);
  const strings = [...spec.argv, spec.cwd ?? "", ...Object.keys(env), ...Object.values(env)];
  if (strings.some((text) => text.includes("\0"))) {
    throw new GuildError("invalid_argument", `an argument of ${spec.argv[0]} holds a NUL character`);
  }
  return new FrameBuilder(ToInit.exec, id, 2048)
    .u32(flags)
    .u32(OUTPUT_WINDOW)
    .u16(spec.terminal?.rows ?? 0)
    .u16(spec.terminal?.columns ?? 0)
    .u64(Math.ceil((limits.cpuSeconds ?? 0) * 1000))
    .u64(Math.ceil((limits.wallSeconds ?? 0) * 1000))
    .u64(Math.ceil(limits.fileBytes ?? 0))
    .u64(Math.ceil(limits.openFiles ?? 0))
    .string(pathToBytes(spec.cwd ?? context.workspace))
    .strings(spec.argv.map(pathToBytes))
    .strings(Object.entries(env).map(([name, value]) => pathToBytes(`${name}=${value}`)));
}

const limitNames = [undefined, "wall", "cpu", "memory", "lease", "fileSize", "disk"];
const signalNames = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name]));
const targets = { foreground: 0, group: 1, all: 2 } as const;

class InitExecution implements Execution {
  readonly exit: Promise<ExitStatus>;
  readonly #context: ExecutionContext;
  readonly #channel: ByteChannel;
  readonly #spec: ExecSpec;
  readonly #exited = Promise.withResolvers<ExitStatus>();
  #pid = 0;
  #closing: Promise<void> | undefined;
  #stopListening: (() => void) | undefined;

  constructor(context: ExecutionContext, id: number, spec: ExecSpec) {
    this.#context = context;
    this.#spec = spec;
    this.exit = this.#exited.promise;
    this.#channel = new ByteChannel(context.connection, id, {
      exit: (payload) => this.#onExit(payload),
      gone: (reason) => this.#onGone(reason),
    });
  }

  get pid(): number {
    return this.#pid;
  }

  get output(): AsyncIterable<OutputChunk> {
    return this.#channel.output;
  }

  started(pid: number): void {
    this.#pid = pid;
  }

  closeOn(signal: AbortSignal): void {
    const onAbort = (): void => void this.close().catch(() => {}); // gone is gone
    signal.addEventListener("abort", onAbort, { once: true });
    this.#stopListening = () => signal.removeEventListener("abort", onAbort);
  }

  write(bytes: Uint8Array): Promise<void> {
    if (this.#spec.input !== true && this.#spec.terminal === undefined) {
      return Promise.reject(new GuildError("failed_precondition", `${this.#spec.argv[0]} was started without input`));
    }
    return this.#channel.write(bytes);
  }

  closeInput(): Promise<void> {
    return this.#channel.closeInput(this.#spec.terminal === undefined);
  }

  async signal(name: string, to: keyof typeof targets = "foreground"): Promise<void> {
    const number = Object.entries(constants.signals).find(([known]) => known === name)?.[1];
    if (number === undefined) throw new GuildError("invalid_argument", `there is no signal ${name}`, { subject: name });
    await this.#ask((id) => new FrameBuilder(ToInit.signal, id, 16).u32(this.#channel.id).u32(number).u8(targets[to]), name);
  }

  async resize(rows: number, columns: number): Promise<void> {
    await this.#ask((id) => new FrameBuilder(ToInit.resize, id, 16).u32(this.#channel.id).u16(rows).u16(columns), "resize");
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    const { connection } = this.#context;
    this.#stopListening?.();
    const id = connection.newId();
    this.#channel.endOutput(true);
    try {
      await connection.request(id, new FrameBuilder(ToInit.close, id, 8).u32(this.#channel.id));
    } catch (error) {
      if (!GuildError.is(error, "unavailable")) throw error; // with the sandbox everything has ended
    }
    if (this.#spec.detached !== true) connection.unlisten(this.#channel.id);
    this.#channel.gone("closed");
  }

  async #ask(frame: (id: number) => FrameBuilder, what: string): Promise<void> {
    const id = this.#context.connection.newId();
    const { errno } = await this.#context.connection.request(id, frame(id));
    if (errno !== 0) throw initError(errno, `cannot ${what}`, this.#spec.argv[0]);
  }

  #onExit(payload: FrameReader): void {
    const code = payload.u32();
    const signal = payload.u32();
    const limit = payload.u8();
    const status: ExitStatus = {
      code: code === 0xffff_ffff ? undefined : code,
      signal: signal === 0 ? undefined : (signalNames.get(signal) ?? `SIG${signal}`),
      limit: limitNames[limit],
      cpuMs: payload.u64() / 1000,
      maxRssBytes: payload.u64(),
    };
    this.#exited.resolve(this.#context.explain?.(status) ?? status);
  }

  #onGone(reason: string): void {
    if (this.#closing !== undefined && this.#spec.detached === true && reason === "closed") return;
    this.#stopListening?.();
    const limit = reason === "lease" || reason === "memory" ? reason : undefined;
    this.#exited.resolve({ code: undefined, signal: "SIGKILL", limit, cpuMs: 0, maxRssBytes: 0 });
  }
}
