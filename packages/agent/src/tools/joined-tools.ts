import { GuildError, type SessionPart, type Tool, type ToolRegistry } from "@guildhall/core";

import { ToolSet } from "./tool-registry.ts";

export interface JoinedToolsOptions {
  /** The tools that every session of the workspace has. */
  base: ToolRegistry;
  /** Whose tools come after them, in this order. */
  parts: readonly SessionPart[];
  /** What policy leaves out; default nothing. */
  allows?(name: string): boolean;
  /** A tool that cannot be offered: its name is taken, or none that models accept. Told once for each array of tools. */
  leftOut?(part: string, error: GuildError): void;
}

/** A session's tools: those of its workspace and those of its parts, which may change from one step to the next. */
export class JoinedTools implements ToolRegistry {
  readonly #options: JoinedToolsOptions;
  #seen: Array<readonly Tool[] | undefined> = [];
  #joined: ToolRegistry;

  constructor(options: JoinedToolsOptions) {
    this.#options = options;
    this.#joined = options.base;
  }

  list(): Tool[] {
    return this.#current().list();
  }

  get(name: string): Tool | undefined {
    return this.#current().get(name);
  }

  #current(): ToolRegistry {
    const { base, parts, allows, leftOut } = this.#options;
    const tools = parts.map((part) => part.tools?.());
    if (tools.every((own, place) => own === this.#seen[place])) return this.#joined;
    this.#seen = tools;
    const joined = new ToolSet(base.list());
    for (const [place, own] of tools.entries()) {
      for (const tool of own ?? []) {
        if (allows?.(tool.name) === false) continue;
        try {
          joined.add(tool);
        } catch (error) {
          leftOut?.(parts[place]?.name ?? "", GuildError.from(error));
        }
      }
    }
    return (this.#joined = joined);
  }
}
