import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ToolSourceSchema } from "@guildhall/protocol";

import type { TrustStore } from "../trust/trust-store.ts";
import type { ToolBench } from "../worker/tool-bench.ts";
import type { ExtensionOptions } from "./extension-parts.ts";
import { describeTools, type ToolLine } from "./toolbox.ts";

/** Tools that only some sessions have, and where they come from. */
export interface Brought {
  tools: ToolLine[];
  sources: Array<MessageInitShape<typeof ToolSourceSchema>>;
}

export interface BroughtDeps {
  bench: ToolBench;
  extensions: Pick<ExtensionOptions, "servers" | "project">;
  trust: TrustStore;
}

export const NOTHING: Brought = { tools: [], sources: [] };

/** Files of a project that give tools, once they are trusted. */
const GIVES_TOOLS = [
  { under: ".guildhall/tools/", name: "project" },
  { under: ".guildhall/openapi/", name: "openapi" },
];

/**
 * What a session in this workspace would have beside the tools of all: of MCP servers, modules, OpenAPI documents and skills, with the state of
 * each. Servers and modules are started for it, in a sandbox of their own; nothing is where nothing is configured.
 */
export async function broughtTools(deps: BroughtDeps, workspace: string, provider: string): Promise<Brought> {
  const { bench, extensions, trust } = deps;
  const configured = extensions.servers.all(workspace);
  const desk = await extensions.project();
  const modules = extensions.servers.of(workspace).filter(({ kind }) => kind === "tools");
  const sources: Brought["sources"] = configured
    .filter(({ trusted, config }) => !trusted || config.disabled)
    .map(({ name, origin, trusted }) => ({
      name: `mcp:${name}`,
      origin,
      state: trusted ? "disabled" : "untrusted",
      detail: trusted ? "" : UNTRUSTED,
    }));
  const files = trust.show(workspace).files.filter(({ state }) => state !== "same");
  for (const { under, name } of GIVES_TOOLS) {
    const own = files.filter(({ path }) => path.startsWith(under));
    if (own.length > 0) {
      const paths = own.slice(0, 5).map(({ path }) => path);
      sources.push({ name, origin: "project", state: "untrusted", detail: `${paths.join(", ")}: ${UNTRUSTED}` });
    }
  }
  const nothing = !configured.some(({ trusted, config }) => trusted && !config.disabled) && modules.length === 0;
  if (nothing && desk.skills(workspace).length === 0 && !hasDocuments(desk, workspace)) return { tools: [], sources };
  const opened = await bench.openTools(workspace, provider);
  try {
    const given = opened.parts.filter((part) => part.sources !== undefined);
    const names = new Set(given.flatMap((part) => part.tools?.() ?? []).map((tool) => tool.name));
    const tools = describeTools(opened).filter(({ name }) => names.has(name));
    for (const source of given.flatMap((part) => part.sources?.() ?? [])) {
      const origin =
        configured.find(({ name }) => `mcp:${name}` === source.name)?.origin ?? (source.name === "own" ? "operator" : "project");
      sources.push({ ...source, origin, tools: tools.filter((tool) => tool.source === source.name).length });
    }
    return { tools, sources };
  } finally {
    await opened.close();
  }
}

/** One that cannot be read is something too: the part says why. */
function hasDocuments(desk: { documents(workspace: string): readonly unknown[] }, workspace: string): boolean {
  try {
    return desk.documents(workspace).length > 0;
  } catch {
    return true;
  }
}

const UNTRUSTED = "nobody has trusted it as it is now: guild trust show";
