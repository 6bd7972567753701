/** Fakes and contract suites for the ports; for tests only. */
export * from "./blob-store.contract.ts";
export * from "./blob-store.ts";
export * from "./checkpoint-store.contract.ts";
export * from "./checkpoint-store.ts";
export * from "./embedder.contract.ts";
export * from "./event-log.contract.ts";
export * from "./event-log.samples.ts";
export * from "./event-log.ts";
export * from "./fault-points.ts";
export * from "./fake-model-server.ts";
export type { FakeCall, FakeFault, FakeReply, FakeWire } from "./fake-model-server-reply.ts";
export { type Random, seededRandom } from "./random.ts";
export * from "./secrets.contract.ts";
export { seededIds } from "./seeded-ids.ts";
export { type SimulatedClock, simulatedClock } from "./simulated-clock.ts";
export { MemoryFiles } from "./tool-files.ts";
export { FakeToolSession } from "./tool-session.ts";
export * from "./model.contract.ts";
