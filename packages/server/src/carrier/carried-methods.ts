import type {
  DescMessage,
  DescMethod,
  DescMethodServerStreaming,
  DescMethodUnary,
  DescService,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";

type Request = MessageShape<DescMessage>;
type Response = MessageInitShape<DescMessage>;

/** What a carrier can call: methods of one request. */
export type CarriedMethod =
  | { kind: "one"; desc: DescMethodUnary; call(request: Request, context: HandlerContext): Promise<Response> | Response }
  | { kind: "many"; desc: DescMethodServerStreaming; call(request: Request, context: HandlerContext): AsyncIterable<Response> };

/** The methods of everything that one process serves, by `package.Service/Method`. */
export class CarriedMethods {
  readonly #methods = new Map<string, CarriedMethod>();

  find(name: string): CarriedMethod | undefined {
    return this.#methods.get(name);
  }

  /** A router that tells of each service registered with it here, too. */
  noting(router: ConnectRouter): ConnectRouter {
    const noting: ConnectRouter = {
      ...router,
      service: (service, implementation, options) => {
        this.#add(service, implementation as Implementation);
        router.service(service, implementation, options);
        return noting;
      },
    };
    return noting;
  }

  #add(service: DescService, implementation: Implementation): void {
    for (const method of service.methods) {
      const call = implementation[method.localName];
      if (call === undefined || (method.methodKind !== "unary" && method.methodKind !== "server_streaming")) continue;
      this.#methods.set(nameOf(method), {
        kind: method.methodKind === "unary" ? "one" : "many",
        desc: method,
        call: call.bind(implementation),
      } as CarriedMethod);
    }
  }
}

type Implementation = Record<string, ((request: Request, context: HandlerContext) => unknown) | undefined>;

/** How a carrier calls it. */
export function nameOf({ parent, name }: DescMethod): string {
  return `${parent.typeName}/${name}`;
}
