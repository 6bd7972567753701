/** The public protocol `guildhall.v1`: messages, enums and service descriptors, all generated from `proto/`. */
export * from "./gen/guildhall/v1/access_pb.ts";
export * from "./gen/guildhall/v1/approval_pb.ts";
export * from "./gen/guildhall/v1/environment_pb.ts";
export * from "./gen/guildhall/v1/event_pb.ts";
export * from "./gen/guildhall/v1/extension_pb.ts";
export * from "./gen/guildhall/v1/knowledge_pb.ts";
export * from "./gen/guildhall/v1/model_pb.ts";
export * from "./gen/guildhall/v1/ports_pb.ts";
export * from "./gen/guildhall/v1/results_pb.ts";
export * from "./gen/guildhall/v1/session_pb.ts";
export * from "./gen/guildhall/v1/system_pb.ts";
export * from "./gen/guildhall/v1/task_pb.ts";
export * from "./gen/guildhall/v1/tool_pb.ts";

/** Protocol number said in the first exchange; a daemon speaks its own and the one before. */
export const PROTOCOL_VERSION = 1;
