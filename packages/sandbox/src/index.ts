/** Isolation providers: sandboxes in which commands of agents run. */
export { createSandboxProvider, sandboxProviderNames } from "./create-provider.ts";
export type { SandboxProviderOptions } from "./provider-options.ts";
export { TOOLKIT_MOUNT } from "./toolkit.ts";
