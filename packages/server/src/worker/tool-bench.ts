import { constants } from "node:os";

import type { MessageInitShape } from "@bufbuild/protobuf";
import { createToolSession, JoinedTools, offerTools, runTool } from "@guildhall/agent";
import {
  type BlobStore,
  type EventLog,
  type Execution,
  type ExecSpec,
  GuildError,
  type Ids,
  type Masker,
  type Sandbox,
  type SandboxLimits,
  type SandboxProvider,
  type SessionPart,
  type ToolRegistry,
  type ToolResult,
  type ToolSession,
} from "@guildhall/core";
import type { ExecRequest, ExecResponseSchema, ExecStart, ToolCall } from "@guildhall/protocol";

import type { Surroundings } from "../network/surroundings.ts";
import { closeParts, type SessionParts } from "../parts/index.ts";
import { surrounded } from "./workbench.ts";

export interface ToolBenchDeps {
  /** Empty name: the configured one. */
  provider(name: string): Promise<SandboxProvider>;
  limits(): SandboxLimits;
  /** What policy gives a sandbox. */
  surroundings(workspace: string, provider: string): Promise<Surroundings>;
  tools(workspace: string): ToolRegistry;
  /** Theirs come after them. */
  parts: SessionParts;
  log: EventLog;
  blobs: BlobStore;
  masker: Masker;
  ids: Ids;
}

/** Tools in a sandbox of their own, without a session; may change while it is open. */
export interface OpenTools {
  readonly sandbox: Sandbox;
  readonly session: ToolSession;
  readonly tools: ToolRegistry;
  /** What has joined. */
  readonly parts: readonly SessionPart[];
  close(): Promise<void>;
}

/** Runs tools and commands in sandboxes of their own, without a session. */
export interface ToolBench {
  openTools(workspace: string, provider: string): Promise<OpenTools>;
  list(): Promise<Array<{ name: string; description: string; schema: string; source: string }>>;
  /** One result a call, in order, in one sandbox. */
  call(workspace: string, provider: string, calls: ToolCall[], signal: AbortSignal): AsyncIterable<{ call: ToolCall; result: ToolResult }>;
  /** Output as it comes, and the exit as the last response. */
  exec(
    start: Pick<ExecStart, "workspace" | "sandbox" | "command" | "limits" | "terminal">,
    requests: AsyncIterable<ExecRequest>,
    signal: AbortSignal,
  ): AsyncIterable<MessageInitShape<typeof ExecResponseSchema>>;
}

export function createToolBench(deps: ToolBenchDeps): ToolBench {
  const open = async (
    workspace: string,
    provider: string,
    limits: SandboxLimits = {},
  ): Promise<{ sandbox: Sandbox; close(): Promise<void> }> => {
    const chosen = await deps.provider(provider);
    const place = { workspace, provider: chosen.name };
    const [around, given] = await Promise.all([deps.surroundings(workspace, chosen.name), deps.parts.surroundings(place)]);
    try {
      const spec = { id: deps.ids.next("sbx"), workspace, limits: { ...deps.limits(), ...limits } };
      const sandbox = await chosen.create({ ...spec, ...surrounded(around.spec, given) });
      return {
        sandbox,
        close: async () => {
          await sandbox.dispose();
          await around.close();
        },
      };
    } catch (error) {
      await around.close();
      throw error;
    }
  };
  const openTools = async (workspace: string, provider: string): Promise<OpenTools> => {
    const { sandbox, close } = await open(workspace, provider);
    const { blobs, masker, log } = deps;
    const session = createToolSession({ sandbox, blobs, masker });
    const place = { workspace, provider: sandbox.provider };
    const joined = { ...place, sandbox: Promise.resolve(sandbox), toolSession: Promise.resolve(session), masker, log, blobs };
    const parts = await deps.parts.open(joined);
    const leftOut = (part: string, error: GuildError) => deps.parts.failed(place, part, error);
    return {
      sandbox,
      session,
      parts,
      tools: new JoinedTools({ base: deps.tools(workspace), parts, leftOut }),
      async close() {
        try {
          await closeParts(parts);
          await session.close();
        } finally {
          await close();
        }
      },
    };
  };
  return {
    async list() {
      const tools = deps.tools("/workspace");
      const all = tools.list().map((tool) => tool.name);
      return offerTools(tools, all).map((tool) => ({ ...tool, source: tools.get(tool.name)?.source ?? "" }));
    },
    openTools,
    async *call(workspace, provider, calls, signal) {
      const { tools, session, close } = await openTools(workspace, provider);
      try {
        for (const call of calls) {
          signal.throwIfAborted();
          yield { call, result: await runTool(tools, call, { session, signal, progress: () => undefined }) };
        }
      } finally {
        await close();
      }
    },
    async *exec(start, requests, signal) {
      const [program, ...args] = start.command;
      if (program === undefined || program === "")
        throw new GuildError("invalid_argument", "no command is given", { remedy: "write it after --" });
      const limits = readLimits(start.limits);
      const { sandbox, close } = await open(start.workspace, start.sandbox, limits.sandbox);
      try {
        const spec: ExecSpec = {
          argv: [program, ...args],
          ...(start.terminal === undefined
            ? { input: true }
            : { terminal: { rows: start.terminal.rows, columns: start.terminal.columns } }),
          limits: limits.execution,
        };
        const execution = await sandbox.exec(spec, signal);
        const feeding = feed(execution, requests);
        // Input that the command does not take any more is no fault: its exit tells what happened.
        feeding.catch(() => undefined);
        for await (const { stream, bytes } of execution.output) {
          if (stream !== "control") yield { kind: { case: stream, value: bytes } };
        }
        const exit = await execution.exit;
        yield { kind: { case: "exit", value: { code: exit.code ?? 0, signal: exit.signal ?? "", limit: exit.limit ?? "" } } };
        await execution.close();
      } finally {
        await close();
      }
    },
  };
}

async function feed(execution: Execution, requests: AsyncIterable<ExecRequest>): Promise<void> {
  for await (const { kind } of requests) {
    switch (kind.case) {
      case "input":
        await execution.write(kind.value);
        break;
      case "closeInput":
        await execution.closeInput();
        break;
      case "signal":
        if (!(kind.value in constants.signals)) throw new GuildError("invalid_argument", `${kind.value} is no signal`);
        await execution.signal(kind.value, "foreground");
        break;
      case "resize":
        await execution.resize(kind.value.rows, kind.value.columns);
        break;
      default:
        throw new GuildError("invalid_argument", "only the first request says what to run");
    }
  }
}

function readLimits(given: Record<string, bigint>): { sandbox: SandboxLimits; execution: NonNullable<ExecSpec["limits"]> } {
  const sandbox: SandboxLimits = {};
  const execution: NonNullable<ExecSpec["limits"]> = {};
  for (const [name, value] of Object.entries(given)) {
    const amount = Number(value);
    if (name === "memory_bytes") sandbox.memoryBytes = amount;
    else if (name === "processes") sandbox.processes = amount;
    else if (name === "disk_bytes") sandbox.diskBytes = amount;
    else if (name === "disk_files") sandbox.diskFiles = amount;
    else if (name === "cpu_seconds") execution.cpuSeconds = amount;
    else if (name === "file_bytes") execution.fileBytes = amount;
    else if (name === "open_files") execution.openFiles = amount;
    else if (name === "wall_seconds") execution.wallSeconds = amount;
    else throw new GuildError("invalid_argument", `there is no limit ${name}`, { remedy: "guild sandbox exec --help lists them" });
  }
  return { sandbox, execution };
}
