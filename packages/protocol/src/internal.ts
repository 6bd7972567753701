/** What services say to each other; clients use `guildhall.v1` alone. */
export * from "./gen/guildhall/internal/v1/store_pb.ts";
export * from "./gen/guildhall/internal/v1/pool_pb.ts";
export * from "./gen/guildhall/internal/v1/enrolment_pb.ts";
export * from "./gen/guildhall/internal/v1/carrier_pb.ts";
