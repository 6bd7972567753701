import type { PartFactory } from "../parts/session-parts.ts";
import type { HeldFiles } from "./held-files.ts";

/** Tells the model, and with it the person, what was set aside. */
export function heldPart(held: HeldFiles): PartFactory {
  return {
    name: "protected",
    open: ({ session }) => {
      if (session === undefined) return undefined;
      return { name: "protected", beforeStep: () => held.take(session.session).map((text) => ({ kind: "protected", text })) };
    },
  };
}
