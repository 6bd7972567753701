import { spawn } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { isAbsolute, join } from "node:path";

import type { ExecSpec, Execution, OutputChunk, Sandbox, SandboxFiles } from "@guildhall/core";

/**
 * As much of a sandbox as language servers and probes use, over plain processes of the machine: for tests in which there is nothing to keep in.
 * The toolkit's shell is the machine's.
 */
export function processSandbox(workspace: string, env: Readonly<Record<string, string>> = {}): { sandbox: Sandbox; close(): void } {
  const running = new Set<ReturnType<typeof spawn>>();
  const exec = async (spec: ExecSpec): Promise<Execution> => {
    const [program, ...args] = spec.argv;
    const child = spawn(program === "/run/guildhall/bin/bash" ? "/bin/bash" : program, args, {
      cwd: spec.cwd ?? workspace,
      env: { PATH: process.env["PATH"] ?? "", ...env, ...spec.env },
      stdio: ["pipe", "pipe", "pipe"],
    });
    running.add(child);
    const exit = new Promise<Awaited<Execution["exit"]>>((resolve) => {
      child.on("close", (code, signal) => {
        running.delete(child);
        resolve({ code: code ?? undefined, signal: signal ?? undefined, limit: undefined, cpuMs: 0, maxRssBytes: 0 });
      });
    });
    child.stdin.on("error", () => undefined);
    return {
      pid: child.pid ?? 0,
      output: merged(child.stdout, child.stderr),
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
  };
  const at = (path: string): string => (isAbsolute(path) ? path : join(workspace, path));
  const files = {
    read: async (path: string) => new Uint8Array(await readFile(at(path))),
    write: async (path: string, bytes: Uint8Array) => writeFile(at(path), bytes),
  } as Partial<SandboxFiles> as SandboxFiles;
  const sandbox = { id: "process", workspace, provider: "process", exec, files } as Partial<Sandbox> as Sandbox;
  return { sandbox, close: () => running.forEach((child) => child.kill("SIGKILL")) };
}

async function* merged(stdout: NodeJS.ReadableStream, stderr: NodeJS.ReadableStream): AsyncGenerator<OutputChunk> {
  const queue: OutputChunk[] = [];
  let wake = Promise.withResolvers<void>();
  let open = 2;
  for (const [stream, source] of [
    ["stdout", stdout],
    ["stderr", stderr],
  ] as const) {
    source.on("data", (bytes: Uint8Array) => {
      queue.push({ stream, bytes });
      wake.resolve();
    });
    source.on("close", () => {
      open -= 1;
      wake.resolve();
    });
  }
  while (open > 0 || queue.length > 0) {
    if (queue.length === 0) await wake.promise;
    wake = Promise.withResolvers();
    yield* queue.splice(0);
  }
}
