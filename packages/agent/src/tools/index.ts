/** The agent's tools: one definition each, the registry, and how a call is prepared, planned and run. */
export { type BashOptions, createBashTool, warmShell } from "./bash/bash.ts";
export { boundText, OUTPUT_LIMIT } from "./bounded-text.ts";
export { type BuiltInOptions, createBuiltInTools } from "./built-in.ts";
export { createEditTool } from "./edit/edit.ts";
export { defineTool, type ToolDefinition } from "./define-tool.ts";
export { finishTool } from "./finish.ts";
export { type OfferedTool, OpenedTools, offerTools } from "./offer-tools.ts";
export { conflict, type PlannedCall, planParallel } from "./plan-parallel.ts";
export { type PreparedCall, prepareCall, type RawCall, runPrepared, runTool } from "./run-tool.ts";
export { createNodeTool, createPythonTool, type ReplOptions } from "./repl/repl.ts";
export { createSearchTool } from "./search.ts";
export { renderTasks, restoreTasks, type Task, tasksOf, taskTrackerTool } from "./task-tracker.ts";
export { thinkTool } from "./think.ts";
export { argumentsSchema, type ReadArguments, readArguments, validateArguments } from "./tool-arguments.ts";
export { ToolSet } from "./tool-registry.ts";
export { rankTools, TOOL_SEARCH } from "./tool-search.ts";
export { type ClosableToolSession, createToolSession, type ToolSessionOptions } from "./tool-session.ts";
