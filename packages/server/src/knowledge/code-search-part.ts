import type { PartContext, PartFactory } from "../parts/session-parts.ts";

/** Search over the session's own repository by what code does, and what usually changes together; nothing is read before it is asked for. */
export function codeSearchPart(): PartFactory {
  return {
    name: "code search",
    async open({ sandbox, workspace }: PartContext) {
      const { createCodeSearchTool, repositoryIn } = await import("@guildhall/knowledge");
      const tools = [createCodeSearchTool(async () => repositoryIn(await sandbox, workspace))];
      return { name: "code search", tools: () => tools };
    },
  };
}
