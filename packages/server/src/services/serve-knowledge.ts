import { userInfo } from "node:os";

import type { ConnectRouter } from "@connectrpc/connect";
import { type ModelProvider, sortableIds, systemClock } from "@guildhall/core";
import type { Settings } from "@guildhall/core/settings";
import { KnowledgeService } from "@guildhall/protocol";

import type { DaemonOptions } from "../daemon/daemon.ts";
import { createKnowledge } from "../knowledge/index.ts";
import { knowledgeModel } from "../knowledge/knowledge-model.ts";
import { openModelProvider } from "../models/open-provider.ts";
import { knowledgeService } from "../rpc/knowledge-service.ts";
import { TENANT } from "../sessions/session-desk.ts";

/** What the workshop knows, served by a process of its own from the database that the orchestrator uses too, or one of its own. */
export async function serveKnowledge(
  { paths, log, env }: DaemonOptions,
  settings: () => Settings,
): Promise<{ routes(router: ConnectRouter): void; begin(): void; end(): Promise<void> }> {
  const { openStorage, storagePlace } = await import("../storage/index.ts");
  const storage = await openStorage(storagePlace(paths, settings()));
  const clock = systemClock();
  let models: Promise<ModelProvider> | undefined;
  const person = `person:${userInfo().username}`;
  const knowledge = createKnowledge({
    dataDir: paths.data,
    runtimeDir: paths.runtime,
    tenant: TENANT,
    person,
    clock,
    ids: sortableIds(clock),
    journal: log,
    log: storage.log,
    store: storage.knowledge,
    border: storage.border,
    settings: () => settings().knowledge,
    keys: () => settings().keys,
    model: knowledgeModel({ models: () => (models ??= openModelProvider(clock, env, settings)), settings }),
  });
  return {
    routes: (router) =>
      void router.service(KnowledgeService, knowledgeService({ knowledge: knowledge.global, keeper: knowledge.keeper, actor: person })),
    begin: () => knowledge.start(),
    async end() {
      await knowledge.close();
      await storage.close();
      await storage.stopDatabase();
    },
  };
}
