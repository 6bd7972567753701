import type { Checkpoint, Checkpointer, Tool, TreeChange } from "@guildhall/core";
import { Risk } from "@guildhall/protocol";
import { z } from "zod";

import { defineTool, finishTool, taskTrackerTool, thinkTool, ToolSet } from "../tools/index.ts";

/** What the agent of a test works on: a value that only effects change, with a record of every effect. */
export class World {
  /** Names of the things done, in the order in which they were done; a name twice is an effect twice. */
  done: string[] = [];
  /** Names of the things looked at; looking twice does no harm. */
  readonly seen: string[] = [];
  /** Runs while `do` and `look` run. */
  during: ((name: string, signal: AbortSignal) => Promise<void> | void) | undefined;
  captures = 0;
  /** What was done before the last rewind; it may be done again. */
  readonly undone: string[] = [];

  readonly tools: ToolSet;

  constructor() {
    this.tools = new ToolSet([this.#do(), this.#look(), thinkTool, taskTrackerTool, finishTool] as Tool[]);
  }

  rewind(): void {
    this.undone.push(...this.done);
    this.done = [];
  }

  /** Checkpoints whose tree names the state of the world. */
  checkpointer(): Checkpointer {
    return {
      capture: async (): Promise<Checkpoint> => {
        this.captures += 1;
        return { tree: `tree-${this.undone.length + this.done.length}`, changedFiles: 1, storedBytes: 1, omitted: "" };
      },
      restore: async (): Promise<TreeChange[]> => [],
      diff: async (): Promise<TreeChange[]> => [],
      close: async () => undefined,
    };
  }

  #do(): Tool {
    const schema = z.strictObject({
      name: z.string(),
      risk: z.enum(["low", "high"]).default("low"),
      fail: z.boolean().default(false),
      alone: z.boolean().default(false),
    });
    return defineTool({
      name: "do",
      description: "Does something once.",
      schema,
      risk: ({ risk }) => (risk === "high" ? Risk.HIGH : Risk.LOW),
      resources: ({ name, alone }) => [{ name: alone ? "workspace" : `file:/w/${name}`, access: "write" as const }],
      execute: async ({ name, fail }, { signal, progress }) => {
        progress(`doing ${name}\n`);
        await this.during?.(name, signal);
        signal.throwIfAborted();
        this.done.push(name);
        return fail ? { status: "error" as const, output: `${name} failed` } : { status: "ok" as const, output: `did ${name}` };
      },
    }) as Tool;
  }

  #look(): Tool {
    return defineTool({
      name: "look",
      description: "Looks at something.",
      schema: z.strictObject({ name: z.string(), size: z.number().default(0) }),
      risk: () => Risk.LOW,
      resources: ({ name }) => [{ name: `file:/w/${name}`, access: "read" as const }],
      repeatable: () => true,
      execute: async ({ name, size }, { signal }) => {
        await this.during?.(name, signal);
        this.seen.push(name);
        return { status: "ok" as const, output: size > 0 ? "x".repeat(size) : `saw ${name}` };
      },
    }) as Tool;
  }
}
