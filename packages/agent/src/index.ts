/** The CodeAct agent: what a model is shown, what happens next, and the loop that makes it happen. */
export { FAULT_POINTS, type FaultPoint } from "./fault-points.ts";
export { type Replay, type ReplayOptions, replaySession } from "./replay/replay-session.ts";
export { type ActionJudge, createModelJudge } from "./judged-actions.ts";
export type { RunDeps, RunListener } from "./run-deps.ts";
export type { RepositoryTrust } from "./untrusted-source.ts";
export { runSession } from "./run-session.ts";
export { systemPrompt, type SystemPromptOptions } from "./system-prompt.ts";
export * from "./tools/index.ts";
