import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { createBuiltInTools, createToolSession, runTool, ToolSet } from "@guildhall/agent";
import { createCodeStructure } from "@guildhall/code";
import type { Masker, Sandbox, SandboxProvider, ToolResult, ToolSession } from "@guildhall/core";
import { MemoryBlobStore } from "@guildhall/core/testing";

/** The data of a `bash` result. */
export interface BashData {
  exit_code: number | null;
  cwd: string;
  timed_out: boolean;
  duration_ms: number;
  truncated: boolean;
  bytes: number;
  process?: string;
  shell_restarted?: boolean;
}

/** The built-in tools over a real sandbox and an empty workspace of their own. */
export interface ToolBench extends AsyncDisposable {
  workspace: string;
  sandbox: Sandbox;
  blobs: MemoryBlobStore;
  session: ToolSession;
  tools: ToolSet;
  call(tool: string, args: object, options?: { signal?: AbortSignal; progress?: (text: string) => void }): Promise<ToolResult>;
  bash(args: string | object): Promise<ToolResult & { data: BashData }>;
  edit(args: object): Promise<ToolResult>;
}

let count = 0;

export async function openToolBench(provider: SandboxProvider, options: { masker?: Masker } = {}): Promise<ToolBench> {
  const home = await mkdtemp(join(tmpdir(), "guildhall-tools-"));
  const workspace = join(home, "work space");
  await mkdir(workspace);
  count += 1;
  const sandbox = await provider.create({ id: `tools-${process.pid}-${count}`, workspace });
  const blobs = new MemoryBlobStore();
  const session = createToolSession({ sandbox, blobs, ...options });
  const tools = new ToolSet(createBuiltInTools({ workspace, codeStructure: async () => createCodeStructure() }));
  let calls = 0;
  const call: ToolBench["call"] = (tool, args, how = {}) => {
    calls += 1;
    return runTool(
      tools,
      { callId: `call_${calls}`, tool, arguments: JSON.stringify(args) },
      { session, signal: how.signal ?? new AbortController().signal, progress: how.progress ?? (() => undefined) },
    );
  };
  return {
    workspace,
    sandbox,
    blobs,
    session,
    tools,
    call,
    bash: async (args) => {
      const result = await call("bash", typeof args === "string" ? { command: args } : args);
      return { ...result, data: result.data as BashData };
    },
    edit: (args) => call("edit", args),
    async [Symbol.asyncDispose]() {
      await session.close();
      await sandbox.dispose();
      await rm(home, { recursive: true, force: true });
    },
  };
}
