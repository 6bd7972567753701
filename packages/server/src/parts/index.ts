import { extensionParts, type ExtensionOptions } from "../extensions/extension-parts.ts";
import { codeSearchPart } from "../knowledge/code-search-part.ts";
import type { PartFactory } from "./session-parts.ts";

export { closeParts, type PartFactory, type PartSurroundings, SessionParts } from "./session-parts.ts";

/** What joins every session, in the order in which their tools are listed. */
export function partFactories(options: { extensions: ExtensionOptions; memory: PartFactory }): PartFactory[] {
  return [options.memory, codeSearchPart(), ...extensionParts(options.extensions)];
}
