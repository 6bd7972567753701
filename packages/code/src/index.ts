/** Understanding of code: syntax trees, what commands do, search and rewriting by structure. */
export { createCodeStructure } from "./structure/code-structure.ts";
export { createCommandJudge } from "./shell/command-judge.ts";
export * from "./shell/parser.ts";
export type { ShellRisk } from "./shell/finding.ts";
export { judgeShell } from "./shell/risk.ts";
