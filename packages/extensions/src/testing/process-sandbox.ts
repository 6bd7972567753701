import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";

import type { Execution, ExecSpec, OutputChunk, Sandbox } from "@guildhall/core";
import { FakeToolSession } from "@guildhall/core/testing";

/** A sandbox that isolates from nothing: programs of the test itself, as plain processes; files in memory. */
export function processSandbox(workspace = process.cwd()): Sandbox {
  const { sandbox } = new FakeToolSession({ workspace });
  return { ...sandbox, workspace, provider: "host", exec: async (spec) => execute(spec, workspace) };
}

function execute(spec: ExecSpec, workspace: string): Execution {
  const [program, ...args] = spec.argv;
  const child = spawn(program, args, {
    cwd: spec.cwd ?? workspace,
    env: { PATH: process.execPath.replace(/\/[^/]*$/, ":/usr/bin:/bin"), ...spec.env },
  });
  const ended = once(child, "close").then(([code, signal]) => ({
    code: (code as number | null) ?? undefined,
    signal: (signal as string | null) ?? undefined,
    limit: undefined,
    cpuMs: 0,
    maxRssBytes: 0,
  }));
  child.stdin.on("error", () => undefined);
  if (spec.input !== true) child.stdin.end();
  return {
    pid: child.pid ?? 0,
    output: outputOf(child),
    exit: ended,
    write: async (bytes) => void child.stdin.write(bytes),
    closeInput: async () => void child.stdin.end(),
    signal: async (name) => void child.kill(name as NodeJS.Signals),
    resize: async () => undefined,
    close: async () => {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

async function* outputOf(child: ChildProcessWithoutNullStreams): AsyncIterable<OutputChunk> {
  const chunks: OutputChunk[] = [];
  let open = 2;
  let wake = Promise.withResolvers<void>();
  const tell = (): void => {
    wake.resolve();
    wake = Promise.withResolvers();
  };
  for (const stream of ["stdout", "stderr"] as const) {
    child[stream].on("data", (bytes: Buffer) => {
      chunks.push({ stream, bytes });
      tell();
    });
    child[stream].on("close", () => {
      open -= 1;
      tell();
    });
  }
  while (open > 0 || chunks.length > 0) {
    const next = chunks.shift();
    if (next === undefined) await wake.promise;
    else yield next;
  }
}
