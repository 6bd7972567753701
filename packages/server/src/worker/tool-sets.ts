import type { ToolRegistry } from "@guildhall/core";
import type { Settings } from "@guildhall/core/settings";

import type { Access } from "../network/access.ts";

/** The built-in tools of each workspace. */
export interface ToolSets {
  of(workspace: string): ToolRegistry;
  /** Those that the policy allows there. */
  underPolicy(workspace: string, sandbox: string): ToolRegistry;
}

export async function createToolSets(deps: { settings(): Settings; access: Access }): Promise<ToolSets> {
  const { createBuiltInTools, ToolSet } = await import("@guildhall/agent");
  const codeStructure = async () => (await import("@guildhall/code")).createCodeStructure();
  const known = new Map<string, ToolRegistry>();
  const of = (workspace: string): ToolRegistry => {
    const tools =
      known.get(workspace) ??
      new ToolSet(createBuiltInTools({ workspace, codeStructure, searchAddress: () => deps.settings().search.url }));
    known.set(workspace, tools);
    return tools;
  };
  return {
    of,
    underPolicy(workspace, sandbox) {
      const { allowsTool } = deps.access.terms(workspace, sandbox, "");
      const tools = of(workspace).list();
      const allowed = tools.filter((tool) => allowsTool(tool.name));
      return allowed.length === tools.length ? of(workspace) : new ToolSet(allowed);
    },
  };
}
