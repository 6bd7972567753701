/** Isolation providers: sandboxes in which commands of agents run. */
export { createCheckpointer, type CheckpointerOptions } from "./checkpoint/checkpointer.ts";
export { FileCheckpointStore, type FileCheckpointStoreOptions } from "./checkpoint/file-checkpoint-store.ts";
export { DEFAULT_CHECKPOINT_RULES, type CheckpointRules } from "./checkpoint/rules.ts";
export { createSandboxProvider, sandboxProviderNames } from "./create-provider.ts";
export { sandboxDoctor } from "./doctor.ts";
export type { SandboxProviderOptions } from "./provider-options.ts";
export { TOOLKIT_MOUNT } from "./toolkit.ts";
