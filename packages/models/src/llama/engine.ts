import { type ChildProcess, fork } from "node:child_process";
import { availableParallelism } from "node:os";

import type { EngineAnswer, EngineFault, EngineRequest, Generated, GenerateRequest } from "./engine-messages.ts";

/** What the process of a model reported, or that it ended. */
export class EngineFailure extends Error {
  override readonly name = "EngineFailure";
  readonly reason: EngineFault | "ended";

  constructor(reason: EngineFault | "ended", message: string) {
    super(message);
    this.reason = reason;
  }
}

export interface EngineOptions {
  /** Takes `EngineRequest` and answers with `EngineAnswer`. */
  program: URL;
  arguments: readonly string[];
  /** Milliseconds without a request after which the process, and the model's memory with it, goes; the next request starts another. Default 300,000. */
  idleMs?: number;
}

/** One model in a process of its own, shared by all who use it: started at the first request, ended by idleness and by the end of this process. */
export interface Engine {
  generate(request: GenerateRequest, signal: AbortSignal, delta?: (text: string) => void): Promise<Generated>;
  embed(texts: readonly string[], signal?: AbortSignal): Promise<Float32Array[]>;
}

interface Waiting {
  resolve(answer: EngineAnswer): void;
  reject(error: Error): void;
  delta: ((text: string) => void) | undefined;
}

export function modelProcess(options: EngineOptions): Engine {
  const { program, idleMs = 300_000 } = options;
  const waiting = new Map<number, Waiting>();
  let child: ChildProcess | undefined;
  let idle: NodeJS.Timeout | undefined;
  let last = 0;

  function start(): ChildProcess {
    const started = fork(program, [...options.arguments], {
      serialization: "advanced",
      execArgv: [],
      env: {},
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    let said = "";
    started.stderr?.setEncoding("utf8").on("data", (text: string) => (said = (said + text).slice(-2_000)));
    started.on("message", (answer: EngineAnswer) => {
      const one = waiting.get(answer.id);
      if (answer.kind === "delta") one?.delta?.(answer.text);
      else if (answer.kind === "failed") one?.reject(new EngineFailure(answer.reason, answer.message));
      else one?.resolve(answer);
    });
    const ended = (how: string): void => {
      if (child !== started) return;
      child = undefined;
      const lines = said.trim().split("\n");
      for (const one of waiting.values())
        one.reject(new EngineFailure("ended", `its process ended (${how})${said === "" ? "" : `: ${lines.at(-1)}`}`));
    };
    started.on("error", (error) => ended(error.message));
    started.on("exit", (code, signal) => ended(signal ?? `exit ${code}`));
    return started;
  }

  async function ask(
    make: (id: number) => EngineRequest,
    signal: AbortSignal | undefined,
    delta?: (text: string) => void,
  ): Promise<EngineAnswer> {
    signal?.throwIfAborted();
    clearTimeout(idle);
    const process = (child ??= start());
    hold(process, true);
    const id = ++last;
    const { promise, resolve, reject } = Promise.withResolvers<EngineAnswer>();
    waiting.set(id, { resolve, reject, delta });
    const abort = (): void => {
      if (process.connected) process.send({ id, kind: "cancel" } satisfies EngineRequest);
      reject(signal?.reason as Error);
    };
    signal?.addEventListener("abort", abort, { once: true });
    try {
      process.send(make(id), (error) => {
        if (error !== null) reject(new EngineFailure("ended", error.message));
      });
      return await promise;
    } finally {
      signal?.removeEventListener("abort", abort);
      waiting.delete(id);
      if (waiting.size === 0) rest(process);
    }
  }

  function rest(process: ChildProcess): void {
    hold(process, false);
    idle = setTimeout(() => {
      // The next request is not for one that is on its way out.
      if (child === process) child = undefined;
      process.kill("SIGKILL");
    }, idleMs).unref();
  }

  return {
    async generate(generate, signal, delta) {
      const answer = await ask((id) => ({ id, kind: "generate", generate }), signal, delta);
      if (answer.kind !== "generated") throw new EngineFailure("failed", "its process answered something else");
      return answer.generated;
    },
    async embed(texts, signal) {
      const answer = await ask((id) => ({ id, kind: "embed", texts: [...texts] }), signal);
      if (answer.kind !== "embedded") throw new EngineFailure("failed", "its process answered something else");
      return answer.vectors;
    },
  };
}

/** A GGUF file in llama.cpp. */
export function llamaEngine({ file, contextTokens }: { file: string; contextTokens: number }): Engine {
  // One core stays for everybody else: llama.cpp's threads wait for each other actively.
  const threads = Math.max(1, availableParallelism() - 1);
  return modelProcess({
    program: new URL("./engine-process.ts", import.meta.url),
    arguments: [file, String(contextTokens), String(threads)],
  });
}

/** Whether this process waits for the other. */
function hold(process: ChildProcess, held: boolean): void {
  const { channel, stderr } = process;
  const pipe = stderr as { ref?(): void; unref?(): void } | null;
  if (held) {
    process.ref();
    channel?.ref();
    pipe?.ref?.();
  } else {
    process.unref();
    channel?.unref();
    pipe?.unref?.();
  }
}
