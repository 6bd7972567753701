import type { Tool, ToolRegistry } from "@guildhall/core";
import { ActionStatus } from "@guildhall/protocol";

import { argumentsSchema } from "./tool-arguments.ts";
import { TOOL_SEARCH } from "./tool-search.ts";

/** A tool as it is offered to a model; `schema` is JSON text. */
export interface OfferedTool {
  name: string;
  description: string;
  schema: string;
}

/** Characters that tools of other sources may take together to be shown from the start; beyond it all of them are found by search. */
const SHOWN_CHARACTERS = 3_000;

/**
 * The tools as they are offered to a model: the same bytes each time, so that providers' caches hold. Lazy tools, and those of other
 * sources when there are many, come once they are `opened` (found by the tool search, or called), after the others and in that order.
 */
export function offerTools(registry: ToolRegistry, opened: Iterable<string> = []): OfferedTool[] {
  const tools = registry.list();
  const hidden = hiddenTools(tools);
  const shown = tools.filter((tool) => !hidden.has(tool));
  const found = [...new Set(opened)].flatMap((name) => registry.get(name) ?? []).filter((tool) => hidden.has(tool));
  return [...shown, ...found].map(offer);
}

/** Tools that are not shown from the start. */
export function hiddenTools(tools: readonly Tool[]): Set<Tool> {
  const foreign = tools.filter((tool) => tool.source !== "built-in" && tool.lazy !== true);
  const size = foreign.reduce((sum, tool) => sum + sizeOf(offer(tool)), 0);
  return new Set(tools.filter((tool) => tool.lazy === true || (size > SHOWN_CHARACTERS && tool.source !== "built-in")));
}

/** What a session's observations say of tools that have been opened; remembers how far it has read. */
export class OpenedTools {
  #names = new Set<string>();
  #read = 0;
  #last: unknown;

  /** In the order in which they were opened. Reads only what has come since the last time, unless the session was rewound. */
  of(observations: Observations): ReadonlySet<string> {
    if (this.#read > 0 && observations.at(this.#read - 1) !== this.#last) {
      this.#names = new Set();
      this.#read = 0;
    }
    for (; this.#read < observations.length; this.#read += 1) {
      const one = observations.at(this.#read);
      this.#last = one;
      if (one === undefined || one.status !== ActionStatus.OK) continue;
      for (const name of one.tool === TOOL_SEARCH ? openedBy(one.data) : [one.tool]) this.#names.add(name);
    }
    return this.#names;
  }
}

interface Observations {
  readonly length: number;
  at(index: number): { readonly tool: string; readonly status: ActionStatus; readonly data: string } | undefined;
}

function openedBy(data: string): string[] {
  const { opened } = (data === "" ? {} : JSON.parse(data)) as { opened?: unknown };
  return Array.isArray(opened) ? opened.filter((name) => typeof name === "string") : [];
}

const offered = new WeakMap<Tool, OfferedTool>();

function offer(tool: Tool): OfferedTool {
  const known = offered.get(tool);
  if (known !== undefined) return known;
  const made = { name: tool.name, description: tool.description, schema: JSON.stringify(argumentsSchema(tool)) };
  offered.set(tool, made);
  return made;
}

function sizeOf({ name, description, schema }: OfferedTool): number {
  return name.length + description.length + schema.length;
}
