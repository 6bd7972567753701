import { Code, ConnectError, type Transport } from "@connectrpc/connect";

import { fromStatus, tlsFault } from "../rpc/from-status.ts";
import type { Peer } from "../rpc/peer.ts";

/**
 * Several processes that serve the same: calls go to one of them until it cannot be reached, then to the next. A call that failed is not made
 * again, because nobody knows how far it came; who may repeat it does.
 */
export function failover(peers: readonly [OnePeer, ...OnePeer[]]): Transport {
  if (peers.length === 1) return peers[0].transport;
  let current = 0;
  const chosen = (): { transport: Transport; index: number } => ({ ...(peers[current] ?? peers[0]), index: current });
  const watch = (error: unknown, index: number): never => {
    const meant = ConnectError.from(error);
    const certificate = tlsFault(meant) !== undefined;
    if ((certificate || meant.code === Code.Unavailable) && index === current) current = (current + 1) % peers.length;
    // Only here is known whose it was.
    throw certificate ? fromStatus(meant, (peers[index] ?? peers[0]).address) : error;
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

type OnePeer = Pick<Peer, "transport" | "address">;
