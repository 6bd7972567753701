/** The domain: events and their fold, errors, settings, policy, and the ports that the other packages implement. */
export * from "./byte-path.ts";
export { canonicalJson } from "./canonical-json.ts";
export * from "./clock.ts";
export * from "./errors.ts";
export * from "./masking/index.ts";
export * from "./git-object.ts";
export * from "./ids.ts";
export * from "./policy/index.ts";
export * from "./ports/blob-store.ts";
export * from "./ports/checkpoint.ts";
export * from "./ports/clock.ts";
export * from "./ports/event-log.ts";
export * from "./ports/model.ts";
export * from "./ports/safety.ts";
export * from "./ports/sandbox.ts";
export * from "./ports/tool.ts";
export * from "./session-row.ts";
export * from "./session/index.ts";
