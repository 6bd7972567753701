import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";

import type { ConnectRouter } from "@connectrpc/connect";
import { body, systemClock } from "@guildhall/core";
import {
  blobStoreContract,
  checkpointStoreContract,
  eventLogContract,
  MemoryBlobStore,
  MemoryCheckpointStore,
  MemoryEventLog,
  modelContract,
  startFakeModelServer,
} from "@guildhall/core/testing";
import { createModelProvider } from "@guildhall/models";
import { ModelService } from "@guildhall/protocol";
import { BlobService, CheckpointService, LogService } from "@guildhall/protocol/internal";

import { createLog } from "../daemon/log.ts";
import { createServiceHandler } from "../rpc/handler.ts";
import { listenOnTcp } from "../rpc/listen.ts";
import { modelService } from "../rpc/model-service.ts";
import { openPeer, type Peer } from "../rpc/peer.ts";
import { logService } from "./log-service.ts";
import { blobService, checkpointService } from "./object-services.ts";
import { remoteLog } from "./remote-log.ts";
import { remoteModels } from "./remote-models.ts";
import { remoteBlobs, remoteCheckpoints } from "./remote-objects.ts";

const silent = createLog(() => undefined);

/** Serves these routes on a port of its own, and speaks to them as another process would. */
async function served(routes: (router: ConnectRouter) => void): Promise<{ peer: Peer; close(): Promise<void> }> {
  const { handler } = createServiceHandler({ log: silent, routes });
  const listener = await listenOnTcp({ host: "127.0.0.1", port: 0 }, { handler, connected: () => () => undefined });
  const peer = openPeer(listener.address);
  return {
    peer,
    async close() {
      peer.close();
      await listener.close();
    },
  };
}

for (const how of ["transport", "carried"] as const) {
  const over = how === "carried" ? "over a shared stream" : "over the wire";

  eventLogContract(over, async () => {
    const behind = new MemoryEventLog();
    const { peer, close } = await served((router) => void router.service(LogService, logService(behind)));
    const log = remoteLog(peer[how], { peer: peer.address });
    return {
      log,
      peer: behind,
      async close() {
        await log.close();
        await close();
      },
    };
  });

  blobStoreContract(over, async () => {
    const { peer, close } = await served((router) => void router.service(BlobService, blobService(new MemoryBlobStore())));
    return { store: remoteBlobs(peer[how], peer.address), close };
  });

  checkpointStoreContract(over, async () => {
    const behind = new MemoryCheckpointStore();
    const { peer, close } = await served(
      (router) =>
        void router.service(
          CheckpointService,
          checkpointService(async () => behind),
        ),
    );
    return { store: remoteCheckpoints(peer[how], peer.address, "/work"), close };
  });

  modelContract(over, async () => {
    const fake = await startFakeModelServer();
    const models = createModelProvider({ clock: systemClock(), random: Math.random });
    const service = modelService({ models: async () => models, credentials: () => ({}) });
    const { peer, close } = await served((router) => void router.service(ModelService, service));
    return {
      open(replies) {
        fake.answer(replies);
        return remoteModels(peer[how], peer.address).open({
          spec: "openai-compatible/fake",
          baseUrl: `${fake.origin}/v1`,
          credentials: {},
        });
      },
      async close() {
        await close();
        await fake.close();
      },
    };
  });
}

describe("a scripted model over the wire", () => {
  it("goes on where its session was, also in another process", async () => {
    const directory = await mkdtemp(join(tmpdir(), "guildhall-remote-"));
    const script = join(directory, "script.yaml");
    await writeFile(script, "steps:\n  - say: one\n  - say: two\n  - say: three\n");
    const models = createModelProvider({ clock: systemClock(), random: Math.random });
    const serve = () =>
      served((router) => void router.service(ModelService, modelService({ models: async () => models, credentials: () => ({}) })));
    const [first, second] = [await serve(), await serve()];
    const ask = async (peer: Peer, step: number): Promise<string[]> => {
      const model = await remoteModels(peer.carried, peer.address).open({ spec: `scripted:${script}`, step, credentials: {} });
      const request = { sessionId: "ses_1", messages: [], tools: [] };
      const said = [];
      for (let call = 0; call < 2; call++) said.push((await model.generate(request, new AbortController().signal)).text);
      return said;
    };
    assert.deepEqual(await ask(first.peer, 0), ["one", "two"]);
    assert.deepEqual(await ask(second.peer, 1), ["two", "three"]);
    await Promise.all([first.close(), second.close()]);
    await rm(directory, { recursive: true });
  });
});

describe("a lease over the wire", () => {
  it("is renewed, whatever a third of its time is", async () => {
    const behind = new MemoryEventLog();
    const { peer, close } = await served((router) => void router.service(LogService, logService(behind)));
    const log = remoteLog(peer.transport, { peer: peer.address });
    const key = { tenant: "local", session: "ses_1" };
    const started = body.sessionStarted({});
    await log.createSession({ ...key, title: "", workspace: "/w", actor: "person:p", events: [started] });
    const lease = await log.acquireLease(key, "wrk_1", 10_000);
    assert.equal((await log.renewLease(lease, 10_000)).epoch, lease.epoch);
    await log.close();
    await close();
  });
});
