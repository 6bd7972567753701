import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { type Health, HealthCheckResponse_ServingStatus as Serving } from "@guildhall/protocol/grpc";

/** Which services of this process take calls, for `grpc.health.v1`. */
export interface HealthBoard {
  /** Names a service; it serves from now on, until `set` says otherwise. */
  add(service: string): void;
  /** Of one service, or of all. */
  set(serving: boolean, service?: string): void;
  readonly implementation: ServiceImpl<typeof Health>;
}

/** The empty name stands for the process: it serves until everything is told to stop. */
export function createHealthBoard(): HealthBoard {
  const states = new Map<string, boolean>([["", true]]);
  let changed = Promise.withResolvers<void>();
  const statusOf = (service: string): Serving | undefined => {
    const state = states.get(service);
    if (state === undefined) return undefined;
    return state ? Serving.SERVING : Serving.NOT_SERVING;
  };
  return {
    add: (service) => void states.set(service, true),
    set(serving, service) {
      if (service === undefined) for (const name of states.keys()) states.set(name, serving);
      else states.set(service, serving);
      changed.resolve();
      changed = Promise.withResolvers();
    },
    implementation: {
      check(request) {
        const status = statusOf(request.service);
        if (status === undefined) throw new ConnectError(`there is no service ${request.service} here`, Code.NotFound);
        return { status };
      },
      async *watch(request, context) {
        const aborted = Promise.withResolvers<void>();
        context.signal.addEventListener("abort", () => aborted.resolve(), { once: true });
        for (let told: Serving | undefined; !context.signal.aborted;) {
          const next = changed.promise;
          const status = statusOf(request.service) ?? Serving.SERVICE_UNKNOWN;
          if (status !== told) yield { status };
          told = status;
          await Promise.race([next, aborted.promise]);
        }
      },
    },
  };
}
