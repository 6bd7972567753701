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

/**
 * What all tools may take of a prompt before any is opened, characters of their JSON: 2,000 tokens, of which English and JSON have three characters
 * at the least. Our own are always shown; what they leave is for those of other sources.
 */
const SHOWN_CHARACTERS = 6_000;
/** The tool search with what it tells of tools of other sources. */
const SEARCH_CHARACTERS = 1_000;
/** A few small tools of other sources are shown whatever our own take, where they are all there are. */
const FEW_CHARACTERS = 600;
/** Each tool in a list, beyond its words: names of fields, quotes, commas, and what is escaped. */
const FRAME_CHARACTERS = 45;

/**
 * The tools as they are offered to a model: the same bytes each time, so that providers' caches hold. Lazy tools, and those of other
 * sources that are too large together, come once they are `opened` (found by the tool search, or called), after the others and in that order.
 */
export function offerTools(registry: ToolRegistry, opened: Iterable<string> = []): OfferedTool[] {
  const tools = registry.list();
  const hidden = hiddenTools(tools);
  const shown = tools.filter((tool) => !hidden.has(tool));
  const found = [...new Set(opened)].flatMap((name) => registry.get(name) ?? []).filter((tool) => hidden.has(tool));
  return [...shown, ...found].map(offer);
}

/**
 * Tools that are not shown from the start: lazy ones, and where those of other sources are too large together, however few they are, all of each
 * source that does not fit into what our own and the sources before it have left.
 */
export function hiddenTools(tools: readonly Tool[]): Set<Tool> {
  const hidden = new Set<Tool>();
  const sources = new Map<string, { tools: Tool[]; size: number }>();
  let [room, others] = [SHOWN_CHARACTERS - SEARCH_CHARACTERS, 0];
  for (const tool of tools) {
    const size = tool.lazy === true ? 0 : sizeOf(tool);
    if (tool.lazy === true) hidden.add(tool);
    else if (OURS.has(tool.source)) room -= size;
    else {
      const one = sources.get(tool.source) ?? { tools: [], size: 0 };
      sources.set(tool.source, one);
      one.tools.push(tool);
      one.size += size;
      others += size;
    }
  }
  if (others <= FEW_CHARACTERS) return hidden;
  for (const one of sources.values()) {
    if (one.size <= room) room -= one.size;
    else for (const tool of one.tools) hidden.add(tool);
  }
  return hidden;
}

/** Sources of tools that are Guildhall's, whatever they tell of. */
const OURS: ReadonlySet<string> = new Set(["built-in", "skills"]);

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
/** Each session has tools of its own, but most have the same arguments in all of them; to make this text of them is what an offer costs. */
const schemas = new WeakMap<Tool["schema"], string>();

function schemaOf(tool: Tool): string {
  const known = schemas.get(tool.schema) ?? JSON.stringify(argumentsSchema(tool));
  schemas.set(tool.schema, known);
  return known;
}

function offer(tool: Tool): OfferedTool {
  const known = offered.get(tool);
  if (known !== undefined) return known;
  const made = { name: tool.name, description: tool.description, schema: schemaOf(tool) };
  offered.set(tool, made);
  return made;
}

const sizes = new WeakMap<Tool, number>();

/** Characters that a tool takes in a list. */
function sizeOf(tool: Tool): number {
  const known = sizes.get(tool);
  if (known !== undefined) return known;
  const size = JSON.stringify(offer(tool)).length + FRAME_CHARACTERS;
  sizes.set(tool, size);
  return size;
}
