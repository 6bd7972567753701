import type { PartFactory } from "../parts/session-parts.ts";

/** One tool for whatever package managers and build tools a project has. */
export function projectPart(options: { advisories(): string }): PartFactory {
  return {
    name: "project",
    async open({ sandbox }) {
      const { createProjectTool, detectProject, osvDirectory, sandboxFiles } = await import("@guildhall/environment");
      const tools = [
        createProjectTool({
          // What the project is may change while the session works on it.
          facts: async () => detectProject(sandboxFiles(await sandbox)),
          advisories: { find: (packages) => osvDirectory(options.advisories()).find(packages) },
        }),
      ];
      return { name: "project", tools: () => tools };
    },
  };
}
