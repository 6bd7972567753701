/** A session as the fold of its events. */
export { body } from "./bodies.ts";
export { Chain } from "./chain.ts";
export { fold, foldAll, foldBodies } from "./fold.ts";
export * from "./state.ts";
export { sessionStatus, type StatusFacts, statusFacts } from "./status.ts";
export { isMaskable, isMasked, itemsInView, MASKED_BYTES } from "./window.ts";
