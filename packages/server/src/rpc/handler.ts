import type { ConnectRouter } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { Health } from "@guildhall/protocol/grpc";
import { CarrierService } from "@guildhall/protocol/internal";

import { CarriedMethods } from "../carrier/carried-methods.ts";
import { carrierService } from "../carrier/carrier-service.ts";
import { rawCarrier } from "../carrier/raw-stream.ts";
import type { Log } from "../daemon/log.ts";
import { createHealthBoard, type HealthBoard } from "../services/health.ts";
import { addReflection } from "../services/reflection.ts";
import { errorInterceptor } from "./errors.ts";
import type { RequestHandler } from "./listen.ts";
import { onceEach, Operations } from "./operations.ts";

export interface HandlerOptions {
  log: Log;
  /** Registers what is served; health and reflection come by themselves. */
  routes(router: ConnectRouter): void;
  /** Largest message taken, bytes. Default 64 MiB. */
  maxMessageBytes?: number;
}

/** Everything that one process answers, in gRPC, gRPC-Web and Connect. */
export interface ServiceHandler {
  readonly handler: RequestHandler;
  readonly health: HealthBoard;
}

export function createServiceHandler({ log, routes, maxMessageBytes = 64 << 20 }: HandlerOptions): ServiceHandler {
  const health = createHealthBoard();
  const methods = new CarriedMethods();
  const operations = new Operations();
  const carrier = carrierService({ methods, operations, log });
  const handler = connectNodeAdapter({
    interceptors: [errorInterceptor(log), onceEach(operations)],
    maxTimeoutMs: longestCall,
    readMaxBytes: maxMessageBytes,
    routes(router) {
      routes(methods.noting(router));
      router.service(CarrierService, carrier);
      router.service(Health, health.implementation);
      const services = [...new Set(router.handlers.map(({ service }) => service))];
      addReflection(router, services);
      for (const { typeName } of services) health.add(typeName);
    },
  });
  return { handler: rawCarrier(carrier.carry, handler), health };
}

/** A watch may go on for days; beyond this a deadline is no deadline, milliseconds. */
const longestCall = 2 ** 31 - 1;
