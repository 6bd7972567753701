/** What commands of a session run in, and what a project is: sources of environments, detectors, and what an agent is told of them. */
export { awarenessBlock, type Surrounding } from "./awareness/awareness-block.ts";
export { environmentHash } from "./environment-hash.ts";
export { detectProject } from "./project/detect-project.ts";
export { hostFiles } from "./project/host-files.ts";
export { sandboxFiles } from "./project/sandbox-files.ts";
export { chooseEnvironment, type ChosenEnvironment, completeEnvironment } from "./resolve-environment.ts";
export { hostSource } from "./sources/host-source.ts";
export { type NixSetup, runNix } from "./sources/nix/nix-command.ts";
export { nixSource } from "./sources/nix/nix-source.ts";
export { toolchainSource } from "./sources/toolchain-source.ts";
export { runShellHook } from "./shell-hook.ts";
export { probeTools } from "./tools/probe-tools.ts";
export { toolNames } from "./tools/tool-names.ts";
