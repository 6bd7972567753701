/** Fakes and contract suites for the ports; for tests only. */
export { type KeyringSession, startKeyringSession } from "./keyring-session.ts";
export * from "./blob-store.contract.ts";
export * from "./blob-store.ts";
export * from "./checkpoint-store.contract.ts";
export * from "./checkpoint-store.ts";
export * from "./checkpointer.contract.ts";
export * from "./checkpointer.ts";
export * from "./embedder.contract.ts";
export * from "./environment-source.contract.ts";
export * from "./event-log.contract.ts";
export {
  appendNotices,
  decision,
  freshName,
  message,
  notice,
  readAll,
  seqs,
  started,
  startLeased,
  startSession,
  textOf,
  turnEnd,
  upTo,
  watchUntil,
} from "./event-log.samples.ts";
export * from "./event-log.ts";
export * from "./fake-bedrock-server.ts";
export type { FakeProcess, FakeProgram } from "./fake-execution.ts";
export { FakeSandbox, FakeSandboxProvider } from "./fake-sandbox.ts";
export * from "./fault-points.ts";
export * from "./fake-model-server.ts";
export type { FakeCall, FakeFault, FakeReply, FakeWire } from "./fake-model-server-reply.ts";
export { processSandbox } from "./process-sandbox.ts";
export { type Random, seededRandom } from "./random.ts";
export { removeTree } from "./remove-tree.ts";
export * from "./operation-store.contract.ts";
export * from "./operation-store.ts";
export * from "./sandbox-run.ts";
export { sandboxContract } from "./sandbox.contract.ts";
export type { SandboxFixture } from "./sandbox-fixture.ts";
export * from "./secrets.contract.ts";
export { memoryEvents, sessionMemoryContract, toolStep } from "./session-memory.contract.ts";
export { seededIds } from "./seeded-ids.ts";
export { plainSession, randomEvents } from "./session-events.ts";
export { type SimulatedClock, simulatedClock } from "./simulated-clock.ts";
export { type ToolFixture, toolContract } from "./tool.contract.ts";
export { type TinyGguf, writeTinyGguf } from "./tiny-gguf.ts";
export { MemoryFiles } from "./tool-files.ts";
export { FakeToolSession } from "./tool-session.ts";
export * from "./model.contract.ts";
export * from "./vector-index.contract.ts";
export { plantedSecrets } from "./planted-secrets.ts";
