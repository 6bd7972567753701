import type { BlobRef, Risk, Usage } from "@guildhall/protocol";
import type { z } from "zod";

import type { BlobStore } from "./blob-store.ts";
import type { ActionRisk, CommandJudge, Masker } from "./safety.ts";
import type { Sandbox } from "./sandbox.ts";

/** Something that a call reads or writes. Calls run side by side unless one writes what another touches. `*` is everything. */
export interface Resource {
  /** `file:<absolute path>`, `shell:<name>`, `tasks`, `workspace`, `*`. A path covers what lies below it; `workspace` covers every file. */
  name: string;
  access: "read" | "write";
}

export interface ToolResult {
  status: "ok" | "error";
  /** For the model: bounded, masked by the caller. */
  output: string;
  /** Structured result, JSON-serialisable. */
  data?: unknown;
  fullOutput?: BlobRef;
  /** Pictures that belong to the observation, for models that can see. */
  images?: readonly BlobRef[];
  /** Where it comes from, when that is somewhere that nobody vouches for: a page of the web. What it says is data, and no instruction. */
  untrusted?: string;
  /** What the call spent on a model; counts against the session's limits. */
  usage?: Usage;
  /** The call ends the turn. */
  finish?: { done: boolean; summary: string };
}

/** State that a session's tools share: shells, undo history, the task list. Rebuilt from the log where it can be. */
export interface ToolSession {
  readonly sandbox: Sandbox;
  readonly blobs: BlobStore;
  /** Takes secrets out of what tools store in blobs and report; none: nothing is masked. */
  readonly masker?: Masker;
  /** Values that live as long as the session's worker; closed with it. */
  get<T extends KeptByTools>(key: string, make: () => T): T;
  /** What of those lives in this sandbox alone, in words. Absent: not told. */
  held?(): Held;
}

/** What a tool keeps in its session. */
export interface KeptByTools {
  close?(): Promise<void>;
  /** What would be lost with the sandbox, in words; undefined or absent: nothing that matters. */
  held?(): string | undefined;
  /** Processes that run for it and hold nothing, as `SandboxUsage` counts them: each execution has one that keeps it. Absent: none. */
  readonly ownProcesses?: number;
}

/** What tools keep in a sandbox. */
export interface Held {
  /** What would be lost with it. */
  what: string[];
  /** Processes that run for tools and hold nothing. */
  processes: number;
}

export interface ToolContext {
  readonly session: ToolSession;
  readonly callId: string;
  readonly signal: AbortSignal;
  /** Output on its way, for people who watch; not stored. */
  progress(text: string): void;
}

/**
 * One tool, whatever its origin. The zod schema is the only description of its arguments: JSON Schema, validation and types come from it.
 */
export interface Tool<Schema extends z.ZodType = z.ZodType> {
  readonly name: string;
  readonly description: string;
  readonly schema: Schema;
  /** `built-in`, `mcp:<server>`, `project`, … */
  readonly source: string;
  /** Seldom needed: models are shown it once they have searched for it. */
  readonly lazy?: boolean;
  /** By its looks alone: cheap, always there. */
  risk(input: z.output<Schema>): Risk;
  /** The same by analysis, with reasons; in place of `risk` where a policy asks by it. Absent: `risk` says all there is. */
  assess?(input: z.output<Schema>, judge: CommandJudge): ActionRisk;
  resources(input: z.output<Schema>): Resource[];
  /** Data that leaves with the call, and where to, in few words: `POST example.com`. Absent or undefined: none does. */
  sends?(input: z.output<Schema>): string | undefined;
  /** Running it again after a crash does no harm and tells the same. */
  repeatable(input: z.output<Schema>): boolean;
  /** Throws only for faults of the system; what the caller did wrong is a result with status `error`. */
  execute(input: z.output<Schema>, context: ToolContext): Promise<ToolResult>;
}

/** Tools that a session offers; may change while it runs. */
export interface ToolRegistry {
  list(): Tool[];
  get(name: string): Tool | undefined;
}
