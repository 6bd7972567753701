import { randomUUID } from "node:crypto";

import { createClient, type Transport } from "@connectrpc/connect";
import { type Budgets, type CheckpointStore, GuildError } from "@guildhall/core";
import { LedgerService } from "@guildhall/protocol/internal";

import type { CheckpointStores } from "../daemon/checkpoints.ts";
import { fromStatus } from "../rpc/from-status.ts";
import type { Peer } from "../rpc/peer.ts";
import type { Storage } from "../storage/index.ts";
import { patiently } from "./patiently.ts";
import { remoteLog } from "./remote-log.ts";
import { remoteBlobs, remoteCheckpoints } from "./remote-objects.ts";

/** The storage of a process that holds none: all of it is an orchestrator's. */
export function remoteStorage({ transport, carried }: Pick<Peer, "transport" | "carried">, peer: string): Storage {
  const nothing = (): never => {
    throw new GuildError("unsupported", "this process holds no database", { remedy: "ask the orchestrator" });
  };
  const log = remoteLog(carried, { peer });
  return {
    log,
    blobs: remoteBlobs(transport, peer),
    // Only orchestrators look at rows: whatever asks here for them is told so.
    tasks: elsewhere<Storage["tasks"]>(nothing),
    workers: elsewhere<Storage["workers"]>(nothing),
    knowledge: elsewhere<Storage["knowledge"]>(nothing),
    border: elsewhere<Storage["border"]>(nothing),
    budgets: { ...remoteBudgets(carried, peer), set: nothing, list: nothing },
    exportDatabase: nothing,
    importDatabase: nothing,
    describe: nothing,
    close: () => log.close(),
    stopDatabase: async () => undefined,
  };
}

/** Something that is not in this process: every method rejects. */
function elsewhere<T extends object>(nothing: () => never): T {
  return new Proxy({} as T, { get: () => async () => nothing() });
}

export function remoteCheckpointStores(transport: Transport, peer: string): CheckpointStores {
  const stores = new Map<string, CheckpointStore>();
  return {
    async open(workspace) {
      const known = stores.get(workspace) ?? remoteCheckpoints(transport, peer, workspace);
      stores.set(workspace, known);
      return known;
    },
    close: async () => stores.clear(),
  };
}

const mostRemembered = 5_000;

function remoteBudgets(transport: Transport, peer: string): Budgets {
  const client = createClient(LedgerService, transport);
  const failed = (error: unknown): never => {
    throw fromStatus(error, peer);
  };
  // A session's place among the budgets never changes: one that counts against none need not ask again.
  const free = new Set<string>();
  return {
    async reserve({ tenant, session, epoch }, wanted) {
      if (free.has(session)) return { id: "" };
      // Asked again under its name: of one that was made and not heard of there is no second.
      const name = `rsv_${randomUUID()}`;
      let asked = 0;
      const { id } = await patiently(() => {
        asked += 1;
        return client.reserve({ session: { tenant, session }, epoch, wanted, id: name }, { timeoutMs: 15_000 }).catch(failed);
      });
      if (free.size > mostRemembered) free.clear();
      if (id === "") free.add(session);
      return { id, askedAgain: asked > 1 };
    },
    async settle({ id, askedAgain = false }, spent) {
      if (id !== "") await patiently(() => client.settle({ id, spent, askedAgain }, { timeoutMs: 15_000 }).catch(failed));
    },
  };
}
