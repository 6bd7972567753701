import { GuildError, type Tool, type ToolRegistry } from "@guildhall/core";

import { hiddenTools } from "./offer-tools.ts";
import { createToolSearch, TOOL_SEARCH } from "./tool-search.ts";

/**
 * A registry whose tools may come and go while a session runs; they are listed in the order in which they came, and at last a search for
 * those of them that models are not shown at first.
 */
export class ToolSet implements ToolRegistry {
  readonly #tools = new Map<string, Tool>();
  /** Made anew when the set has changed. */
  #search: Tool | undefined;

  constructor(tools: Iterable<Tool> = []) {
    for (const tool of tools) this.add(tool);
  }

  /** Throws `invalid_argument` for a name that models do not accept, `already_exists` for one that is taken. */
  add(tool: Tool): void {
    // Each set has a search of its own; one that comes along from another set would search that.
    if (tool.name === TOOL_SEARCH && tool.source === "built-in") return;
    if (!/^[A-Za-z0-9_-]{1,64}$/.test(tool.name)) {
      throw new GuildError("invalid_argument", `not a name for a tool: ${JSON.stringify(tool.name)}`, {
        remedy: "use 1 to 64 letters, digits, _ and -",
      });
    }
    const present = this.get(tool.name);
    if (present !== undefined) {
      throw new GuildError("already_exists", `there is a tool ${tool.name} already, from ${present.source}`, { subject: tool.name });
    }
    this.#tools.set(tool.name, tool);
    this.#search = undefined;
  }

  /** False: there was none. */
  remove(name: string): boolean {
    this.#search = undefined;
    return this.#tools.delete(name);
  }

  list(): Tool[] {
    const tools = [...this.#tools.values()];
    return hiddenTools(tools).size === 0 ? tools : [...tools, this.#ownSearch()];
  }

  get(name: string): Tool | undefined {
    return name === TOOL_SEARCH ? this.#ownSearch() : this.#tools.get(name);
  }

  #ownSearch(): Tool {
    const hidden = (): Tool[] => [...hiddenTools([...this.#tools.values()])];
    return (this.#search ??= createToolSearch(hidden(), hidden));
  }
}
