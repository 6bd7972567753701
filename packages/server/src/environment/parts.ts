import type { PartFactory } from "../parts/session-parts.ts";
import { environmentPart } from "./environment-part.ts";
import type { Environments } from "./environments.ts";
import { languagePart } from "./language-part.ts";
import { projectPart } from "./project-part.ts";
import { programDirectories, serverPrograms } from "./server-programs.ts";
import { statePart } from "./state-part.ts";

/** What joins every session on account of its environment. */
export function environmentParts(environments: Environments): PartFactory[] {
  const options = {
    strict: () => environments.terms.strict,
    setupSeconds: () => environments.terms.setupSeconds,
    advisories: () => environments.terms.advisories,
  };
  let programs: Readonly<Record<string, string>> | undefined;
  const found = () => (programs ??= serverPrograms());
  return [
    environmentPart(environments, {
      ...options,
      mounts: () => programDirectories(found()).map((directory) => ({ source: directory, at: directory })),
    }),
    statePart(environments),
    languagePart(environments, {
      programs: found,
      configured: () => environments.terms.languageServers,
      provider: (name) => environments.provider(name),
      ids: environments.ids,
    }),
    projectPart(options),
  ];
}
