import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";

import type { ExecSpec, Execution, OutputChunk, Sandbox, SandboxFiles } from "../ports/sandbox.ts";
import { FakeSandbox } from "./fake-sandbox.ts";

/**
 * As much of a sandbox as language servers and MCP servers use, over plain processes and files of the machine: for tests in which there is
 * nothing to keep in. The toolkit's shell is the machine's. `close` kills what still runs.
 */
export function processSandbox(workspace = process.cwd()): { sandbox: Sandbox; close(): void } {
  const running = new Set<ChildProcessWithoutNullStreams>();
  const sandbox: Sandbox = new FakeSandbox({ id: "process", workspace });
  const files: Pick<SandboxFiles, "read" | "write"> = {
    read: async (path) => new Uint8Array(await readFile(resolve(workspace, path))),
    write: async (path, bytes) => await writeFile(resolve(workspace, path), bytes),
  };
  Object.assign(sandbox.files, files);
  sandbox.exec = async (spec) => {
    const child = start(spec, workspace);
    running.add(child);
    child.on("close", () => running.delete(child));
    return execution(child);
  };
  return { sandbox, close: () => running.forEach((child) => child.kill("SIGKILL")) };
}

function start({ argv, cwd, env, input }: ExecSpec, workspace: string): ChildProcessWithoutNullStreams {
  const [program, ...args] = argv;
  const child = spawn(program === "/run/guildhall/bin/bash" ? "/bin/bash" : program, args, {
    cwd: cwd ?? workspace,
    env: { PATH: `${dirname(process.execPath)}:/usr/bin:/bin`, HOME: join(workspace, ".cache"), ...env },
  });
  child.stdin.on("error", () => undefined);
  if (input !== true) child.stdin.end();
  return child;
}

function execution(child: ChildProcessWithoutNullStreams): Execution {
  const exit = once(child, "close").then(([code, signal]) => ({
    code: (code as number | null) ?? undefined,
    signal: (signal as string | null) ?? undefined,
    limit: undefined,
    cpuMs: 0,
    maxRssBytes: 0,
  }));
  return {
    pid: child.pid ?? 0,
    output: outputOf(child),
    exit,
    write: async (bytes) => void child.stdin.write(bytes),
    closeInput: async () => void child.stdin.end(),
    signal: async (name) => void child.kill(name as NodeJS.Signals),
    resize: async () => undefined,
    close: async () => {
      child.kill("SIGKILL");
      await exit;
    },
  };
}

async function* outputOf(child: ChildProcessWithoutNullStreams): AsyncGenerator<OutputChunk> {
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
