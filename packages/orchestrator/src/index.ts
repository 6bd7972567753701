/** Tasks, their scheduler and the pool: pure state machines. */
export * from "./scheduler/decide.ts";
export { beyond } from "./scheduler/group-use.ts";
export * from "./scheduler/rebalance.ts";
export * from "./scheduler/task-queue.ts";
export * from "./scheduler/track-record.ts";
export * from "./scheduler/types.ts";
export * from "./tasks/graph.ts";
