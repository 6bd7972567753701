/** The CodeAct agent: what a model is shown, what happens next, and the loop that makes it happen. */
export { type RunDeps, type RunListener, runSession } from "./run-session.ts";
export * from "./tools/index.ts";
