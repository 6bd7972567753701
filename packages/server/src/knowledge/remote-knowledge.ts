import { create } from "@bufbuild/protobuf";
import { createClient, type Transport } from "@connectrpc/connect";
import type { KnowledgeSource } from "@guildhall/core";
import type { Settings } from "@guildhall/core/settings";
import { FeedbackKind, KnowledgeService, ScopeSchema } from "@guildhall/protocol";

import type { PartPlace } from "../parts/session-parts.ts";
import { fromStatus } from "../rpc/from-status.ts";
import type { DistillerDeps } from "./distiller.ts";
import { visibleScopes } from "./global.ts";
import { Projects } from "./projects.ts";
import { knownPiece } from "./source.ts";

/** What is known beyond sessions, in another process: what a worker, which holds no database, asks and tells. */
export interface RemoteKnowledge {
  /** Asked along with a session's memory; rejects with `unavailable` while the service is away. */
  source(place: PartPlace, about: { person: string; settings(): Settings["knowledge"] }): KnowledgeSource;
  /** Where what a session has learned goes; what may not leave a session is taken out by the service, before anything is stored. */
  readonly distilled: Pick<DistillerDeps["knowledge"], "add" | "project">;
  readonly tellUse: DistillerDeps["tellUse"];
}

/** Remembered, so that a session of many turns tells nothing twice. */
const MOST_TOLD = 10_000;

/** `peer`: the service's address, for errors. */
export function remoteKnowledge(transport: Transport, peer: string): RemoteKnowledge {
  const client = createClient(KnowledgeService, transport);
  const failed = (error: unknown): never => {
    throw fromStatus(error, peer);
  };
  const told = new Set<string>();
  const projects = new Projects();
  return {
    async tellUse({ used, confirmed }, sessionId, project) {
      for (const [kind, all] of [
        [FeedbackKind.USED, used],
        [FeedbackKind.CONFIRMED, confirmed],
      ] as const) {
        const ids = all.filter((id) => !told.has(`${sessionId} ${kind} ${id}`));
        if (ids.length === 0) continue;
        await client.giveFeedback({ ids, kind, sessionId, project }, { timeoutMs: 60_000 }).catch(failed);
        if (told.size > MOST_TOLD) told.clear();
        for (const id of ids) told.add(`${sessionId} ${kind} ${id}`);
      }
    },
    source(place, { person, settings }) {
      const session = place.session?.session ?? "";
      const shown = new Set<string>();
      return {
        name: "what is known",
        async search(query, limit, signal) {
          const project = await projects.identify(place.workspace);
          const scopes = visibleScopes(settings(), person.replace(/^person:/, ""), project).map((scope) => create(ScopeSchema, scope));
          const { found } = await client.searchKnowledge({ query, limit, scopes, sessionId: session }, { signal }).catch(failed);
          const fresh = found.flatMap(({ item }) => (item === undefined || shown.has(item.id) ? [] : [item.id]));
          for (const id of fresh) shown.add(id);
          // Not waited for: it changes nothing of this answer, and what fails of it is only a count.
          if (session !== "" && fresh.length > 0)
            client
              .giveFeedback({ ids: fresh, kind: FeedbackKind.RETRIEVED, sessionId: session, project: project.name })
              .catch(() => undefined); // a count
          return found.flatMap(({ item, score }) => (item === undefined ? [] : [knownPiece(item, score)]));
        },
      };
    },
    distilled: {
      project: (workspace) => projects.identify(workspace),
      async add(items, { operationId = "", session = "" }) {
        const request = { items: [...items], operationId, sessionId: session };
        const added = await client.addKnowledge(request, { timeoutMs: 60_000 }).catch(failed);
        return { items: added.items, merged: new Map(), heldBack: items.length - added.items.length };
      },
    },
  };
}
