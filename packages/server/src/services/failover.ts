import { Code, ConnectError, type Transport } from "@connectrpc/connect";

/**
 * Several processes that serve the same: calls go to one of them until it cannot be reached, then to the next. A call that failed is not made
 * again, because nobody knows how far it came; who may repeat it does.
 */
export function failover(transports: readonly [Transport, ...Transport[]]): Transport {
  if (transports.length === 1) return transports[0];
  let current = 0;
  const chosen = (): { transport: Transport; index: number } => ({ transport: transports[current] ?? transports[0], index: current });
  const watch = (error: unknown, index: number): never => {
    if (ConnectError.from(error).code === Code.Unavailable && index === current) current = (current + 1) % transports.length;
    throw error;
  };
  return {
    async unary(...args) {
      const { transport, index } = chosen();
      return await transport.unary(...args).catch((error: unknown) => watch(error, index));
    },
    async stream(...args) {
      const { transport, index } = chosen();
      const response = await transport.stream(...args).catch((error: unknown) => watch(error, index));
      const { message } = response;
      const watched = async function* () {
        try {
          yield* message;
        } catch (error) {
          watch(error, index);
        }
      };
      return { ...response, message: watched() };
    },
  };
}
