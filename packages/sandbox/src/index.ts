/** Isolation providers: sandboxes in which commands of agents run. */
export { createCheckpointer, type CheckpointerOptions } from "./checkpoint/checkpointer.ts";
export { FileCheckpointStore, type FileCheckpointStoreOptions } from "./checkpoint/file-checkpoint-store.ts";
export { DEFAULT_CHECKPOINT_RULES, type CheckpointRules } from "./checkpoint/rules.ts";
export { createSandboxProvider, sandboxProviderNames } from "./create-provider.ts";
export { Broker, type BrokerOptions, type WayOut } from "./network/broker.ts";
export type { WayOutRules } from "./network/broker-messages.ts";
export { type BrokerChannel, runBroker } from "./network/broker-process.ts";
export { createSessionAuthority, type SessionAuthority } from "./network/certificates.ts";
export { type NetworkDecision, type NetworkProxy, type NetworkProxyOptions, startNetworkProxy } from "./network/proxy.ts";
export { encryptedFileSecrets, type EncryptedFileOptions } from "./secrets/encrypted-file.ts";
export { environmentSecrets } from "./secrets/environment.ts";
export { keyringSecrets, type KeyringOptions } from "./secrets/keyring.ts";
export { vaultSecrets, type VaultOptions } from "./secrets/vault.ts";
export type { SecretGrant } from "./secrets/placeholder.ts";
export { sandboxDoctor } from "./doctor.ts";
export type { SandboxProviderOptions } from "./provider-options.ts";
export { TOOLKIT_MOUNT } from "./toolkit.ts";
