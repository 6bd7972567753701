import { randomUUID } from "node:crypto";

import { offerTools, runTool } from "@guildhall/agent";
import { GuildError, type ToolResult } from "@guildhall/core";

import type { OpenTools } from "../worker/tool-bench.ts";

/** One tool as others see it. */
export interface ToolLine {
  name: string;
  description: string;
  schema: string;
  source: string;
}

/** One open toolbox. */
interface Toolbox {
  readonly id: string;
  tools(): ToolLine[];
  /** Resolves after the next call: its tools may then be others. */
  called(): Promise<void>;
  close(): Promise<void>;
}

/** The agent's tools for programs outside: each toolbox is a sandbox over a directory, there as long as somebody holds it. */
export class Toolboxes {
  readonly #open: (workspace: string, provider: string) => Promise<OpenTools>;
  readonly #boxes = new Map<string, { opened: OpenTools; called: PromiseWithResolvers<void> }>();

  constructor(open: (workspace: string, provider: string) => Promise<OpenTools>) {
    this.#open = open;
  }

  /** The result's `close` ends every process in it. */
  async open(workspace: string, provider: string): Promise<Toolbox> {
    const opened = await this.#open(workspace, provider);
    const id = randomUUID();
    const box = { opened, called: Promise.withResolvers<void>() };
    this.#boxes.set(id, box);
    return {
      id,
      tools: () => describeTools(opened),
      called: () => box.called.promise,
      close: async () => {
        this.#boxes.delete(id);
        await opened.close();
      },
    };
  }

  /** Throws `not_found` for a toolbox that is closed. */
  async call(id: string, tool: string, args: string, options: { signal: AbortSignal; progress(text: string): void }): Promise<ToolResult> {
    const box = this.#boxes.get(id);
    if (box === undefined) throw new GuildError("not_found", "this toolbox is closed", { subject: id, remedy: "open another" });
    const { tools, session } = box.opened;
    try {
      return await runTool(tools, { callId: "call_1", tool, arguments: args }, { session, ...options });
    } finally {
      box.called.resolve();
      box.called = Promise.withResolvers();
    }
  }
}

/** All tools, lazy ones too: whoever is outside has no search of ours. */
export function describeTools({ tools }: OpenTools): ToolLine[] {
  const names = tools.list().map((tool) => tool.name);
  const hidden = [...names].filter((name) => name !== "tool_search");
  return offerTools(tools, hidden)
    .filter(({ name }) => name !== "tool_search" && name !== "finish")
    .map((tool) => ({ ...tool, source: tools.get(tool.name)?.source ?? "" }));
}
