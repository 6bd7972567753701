import { existsSync } from "node:fs";
import { join } from "node:path";

import type { Environment, ProjectFacts } from "@guildhall/core";

import { serverPrograms } from "./server-programs.ts";

/** A language server for a language of the project. */
export interface FoundServer {
  language: string;
  command: string;
  state: "available" | "missing";
  /** Where it is, or how to get it. */
  detail: string;
}

/** What of a kind of server is looked at. */
interface Kind {
  name: string;
  commands: ReadonlyArray<readonly [string, ...string[]]>;
  remedy: string;
}

const OF_ECOSYSTEM: Readonly<Record<string, readonly string[]>> = {
  node: ["typescript", "json", "css", "html"],
  deno: ["typescript"],
  python: ["python"],
  rust: ["rust"],
  go: ["go"],
  cmake: ["c"],
  make: ["c"],
};

const SYSTEM = ["/usr/local/bin", "/usr/bin", "/bin"];

/** The servers for a project's languages, looked for where the environment's commands are; nothing is run. */
export function findServers(kinds: readonly Kind[], facts: ProjectFacts, environment: Environment, workspace: string): FoundServer[] {
  const languages = new Set(facts.ecosystems.flatMap(({ ecosystem }) => OF_ECOSYSTEM[ecosystem] ?? []));
  if (languages.size === 0) return [];
  const programs = serverPrograms();
  const own = ["node_modules/.bin", ".venv/bin"].map((directory) => join(workspace, directory));
  const directories = [...own, ...environment.path, ...(environment.pure || environment.image !== undefined ? [] : SYSTEM)];
  return kinds
    .filter(({ name }) => languages.has(name))
    .map(({ name, commands, remedy }) => {
      for (const [program, ...args] of commands) {
        const directory = directories.find((one) => existsSync(join(one, program)));
        const path = directory === undefined ? programs[program] : join(directory, program);
        if (path !== undefined) return { language: name, command: [program, ...args].join(" "), state: "available" as const, detail: path };
      }
      return { language: name, command: commands[0]?.join(" ") ?? "", state: "missing" as const, detail: remedy };
    });
}

/** Names of those that are there. */
export function availableServers(all: readonly FoundServer[]): string[] {
  return all.filter(({ state }) => state === "available").map(({ language }) => language);
}
