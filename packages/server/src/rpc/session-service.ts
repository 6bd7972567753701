import type { ServiceImpl } from "@connectrpc/connect";
import type { BlobStore, EventLog } from "@guildhall/core";
import type { SessionService } from "@guildhall/protocol";

import type { Delegations } from "../delegation/delegations.ts";
import type { SessionDescriber } from "../sessions/describe-session.ts";
import { keyOf, type SessionDesk, TENANT } from "../sessions/session-desk.ts";
import type { SessionHistory } from "../sessions/session-history.ts";
import type { DeltaHub } from "../worker/deltas.ts";
import type { SessionRunner } from "../worker/session-host.ts";
import { watchSession } from "../worker/watch.ts";
import { checkWorkspace } from "../worker/workspace.ts";

export interface SessionServiceDeps {
  desk: SessionDesk;
  history: SessionHistory;
  describer: SessionDescriber;
  log: EventLog;
  blobs: BlobStore;
  host: SessionRunner;
  hub: DeltaHub;
  delegations: Delegations;
  /** Who speaks through this daemon's socket: `person:<name>`. */
  actor: string;
}

/** Sessions: create, watch, speak to, resume, fork and rewind them. */
export function sessionService(deps: SessionServiceDeps): ServiceImpl<typeof SessionService> {
  const { desk, history, describer, log, actor } = deps;
  return {
    async createSession(request) {
      const { record, modelReason, notices } = await desk.create(request, actor);
      return { session: await describer.describe(record), modelReason, notices };
    },
    async getSession(request) {
      return { session: await describer.describe(await desk.get(request.sessionId)) };
    },
    async listSessions(request) {
      if (request.parentId !== "") {
        const children = await deps.delegations.tree.children(keyOf(request.parentId));
        const records = await Promise.all(children.map((child) => log.getSession(child)));
        return { sessions: await Promise.all(records.map((record) => describer.describe(record))), nextPageToken: "" };
      }
      const limit = Math.min(request.pageSize === 0 ? 50 : request.pageSize, 200);
      const records = await log.listSessions({
        tenant: TENANT,
        limit,
        ...(request.workspace === "" ? {} : { workspace: checkWorkspace(request.workspace) }),
        ...(request.pageToken === "" ? {} : { before: keyOf(request.pageToken).session }),
      });
      const sessions = await Promise.all(records.map((record) => describer.describe(record)));
      return { sessions, nextPageToken: records.length < limit ? "" : (records.at(-1)?.session ?? "") };
    },
    watchSession(request, context) {
      const options = { from: request.fromSeq, follow: request.follow, deltas: request.deltas, untilTurnEnd: request.untilTurnEnd };
      return watchSession(deps, keyOf(request.sessionId), options, context.signal);
    },
    async sendInput(request) {
      return { seq: await desk.send(request, actor) };
    },
    async resumeSession(request) {
      return { session: await describer.describe(await desk.resume(request, actor)) };
    },
    async forkSession(request) {
      return { session: await describer.describe(await history.fork(keyOf(request.sessionId), request.atSeq, request.workspace, actor)) };
    },
    async rewindSession(request) {
      const { record, ...rest } = await history.rewind(keyOf(request.sessionId), request.toSeq);
      return { session: await describer.describe(record), ...rest };
    },
    async compareSessions(request) {
      const { a, b, comparison } = await history.compare(keyOf(request.sessionA), keyOf(request.sessionB));
      const { common, checkpoints, trees, files, more } = comparison;
      return {
        a: await describer.describe(a),
        b: await describer.describe(b),
        commonEvents: common,
        checkpointsA: checkpoints.a,
        checkpointsB: checkpoints.b,
        treeA: trees.a,
        treeB: trees.b,
        files,
        more,
      };
    },
    async collectCheckpoints() {
      const { workspaces, objects, bytes } = await history.collect(TENANT);
      return { workspaces, objects: BigInt(objects), bytes: BigInt(bytes) };
    },
    async *exportSession(request) {
      for await (const chunk of history.export(keyOf(request.sessionId))) yield { chunk };
    },
    async replaySession(requests) {
      return await history.replay(chunksOf(requests));
    },
    async *readBlob(request) {
      for await (const chunk of deps.blobs.get(request.digest)) yield { chunk };
    },
  };
}

async function* chunksOf(requests: AsyncIterable<{ chunk: Uint8Array }>): AsyncIterable<Uint8Array> {
  for await (const { chunk } of requests) yield chunk;
}
