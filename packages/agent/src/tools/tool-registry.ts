import { GuildError, type Tool, type ToolRegistry } from "@guildhall/core";

import { argumentsSchema } from "./tool-arguments.ts";

/** A registry whose tools may come and go while a session runs; they are listed in the order in which they came. */
export class ToolSet implements ToolRegistry {
  readonly #tools = new Map<string, Tool>();

  constructor(tools: Iterable<Tool> = []) {
    for (const tool of tools) this.add(tool);
  }

  /** Throws `invalid_argument` for a name that models do not accept, `already_exists` for one that is taken. */
  add(tool: Tool): void {
    if (!/^[A-Za-z0-9_-]{1,64}$/.test(tool.name)) {
      throw new GuildError("invalid_argument", `not a name for a tool: ${JSON.stringify(tool.name)}`, {
        remedy: "use 1 to 64 letters, digits, _ and -",
      });
    }
    const present = this.#tools.get(tool.name);
    if (present !== undefined) {
      throw new GuildError("already_exists", `there is a tool ${tool.name} already, from ${present.source}`, { subject: tool.name });
    }
    this.#tools.set(tool.name, tool);
  }

  /** False: there was none. */
  remove(name: string): boolean {
    return this.#tools.delete(name);
  }

  list(): Tool[] {
    return [...this.#tools.values()];
  }

  get(name: string): Tool | undefined {
    return this.#tools.get(name);
  }
}

/** A tool as it is offered to a model; `schema` is JSON text. */
export interface OfferedTool {
  name: string;
  description: string;
  schema: string;
}

const offered = new WeakMap<Tool, OfferedTool>();

/** The tools as they are offered to a model: the same bytes each time, so that providers' caches hold. */
export function offerTools(registry: ToolRegistry): OfferedTool[] {
  return registry.list().map((tool) => {
    const known = offered.get(tool);
    if (known !== undefined) return known;
    const made = { name: tool.name, description: tool.description, schema: JSON.stringify(argumentsSchema(tool)) };
    offered.set(tool, made);
    return made;
  });
}
