import { create } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import { GuildError } from "@guildhall/core";
import {
  type Conflict,
  ConflictSchema,
  ConflictStrategy,
  type Knowledge,
  type KnowledgeService,
  KnowledgeState,
  type Operation,
  ScopeKind,
} from "@guildhall/protocol";

import type { GlobalKnowledge } from "../knowledge/global.ts";
import { strategies } from "../knowledge/global.ts";
import type { KnowledgeKeeper } from "../knowledge/keeper.ts";

export interface KnowledgeServiceDeps {
  knowledge: GlobalKnowledge;
  keeper: KnowledgeKeeper;
  /** Who speaks through this daemon's socket. */
  actor: string;
}

const MOST = 100;

/** What the workshop knows, over the wire. */
export function knowledgeService({ knowledge, keeper, actor }: KnowledgeServiceDeps): ServiceImpl<typeof KnowledgeService> {
  const replica = () => knowledge.replica();
  return {
    async addKnowledge({ items, operationId, sessionId, workspace }) {
      await knowledge.lies(workspace);
      const [first] = items;
      const project = first?.scope?.kind === ScopeKind.PROJECT ? first.scope.id : "";
      const by = sessionId === "" ? { actor } : { actor: `session:${sessionId}`, session: sessionId, project };
      const added = await knowledge.add(items, { ...by, operationId });
      return { items: added.items, merged: Object.fromEntries(added.merged) };
    },
    async searchKnowledge(request, context) {
      const { search } = await knowledge.open();
      const { query, scopes, tags, role, asOf } = request;
      await knowledge.lies(request.workspace);
      const limit = Math.min(request.limit === 0 ? 10 : request.limit, MOST);
      return await search.find({
        query,
        limit,
        scopes,
        tags,
        role,
        session: await knowledge.pseudonym(request.sessionId === "" ? actor : request.sessionId),
        ...(asOf === undefined ? {} : { asOf: timestampMs(asOf) }),
        signal: context.signal,
      });
    },
    async getKnowledge({ id, version, asOf, workspace }) {
      await knowledge.lies(workspace);
      const item = (await replica()).read(id, { version, ...(asOf === undefined ? {} : { asOf: timestampMs(asOf) }) });
      if (version === 0 && asOf === undefined && (await keeper.isDoubtful(item))) item.state = KnowledgeState.DOUBTFUL;
      return { item };
    },
    async getKnowledgeHistory({ id }) {
      const place = await replica();
      place.read(id);
      return { versions: place.ledger.history(id) };
    },
    async diffKnowledge({ id, fromVersion, toVersion }) {
      const place = await replica();
      const to = place.read(id, { version: toVersion });
      // Not said: from the one before.
      const from = place.read(id, { version: fromVersion === 0 ? Math.max(1, to.version - 1) : fromVersion });
      return { changes: differences(from, to) };
    },
    async revertKnowledge({ id, version }) {
      return { item: await (await replica()).revert(id, version, actor) };
    },
    async forgetKnowledge({ id, reason }) {
      return { restorableUntil: timestampFromMs(await knowledge.forget(id, { actor, reason })) };
    },
    async restoreKnowledge({ id }) {
      return { item: await (await replica()).restore(id, actor) };
    },
    async giveFeedback({ ids, kind, sessionId, role, project }) {
      const session = await knowledge.pseudonym(sessionId === "" ? actor : sessionId);
      await (await replica()).feedback(ids, kind, { actor, session, role, project });
      return {};
    },
    async explainKnowledge({ id, workspace }) {
      await knowledge.lies(workspace);
      return await keeper.explain(id);
    },
    async getKnowledgeStats() {
      return await keeper.stats();
    },
    async syncKnowledge({ remote }) {
      return await keeper.synchronise(remote);
    },
    async exchangeOperations(request, context) {
      // Whoever wants to hear of news as soon as there are any says how long it waits (RFC 7240).
      const [, seconds = "0"] = /\bwait=(\d{1,3})\b/.exec(context.requestHeader.get("prefer") ?? "") ?? [];
      return await (await replica()).exchange(request, { waitMs: Number(seconds) * 1_000, signal: context.signal });
    },
    async listConflicts({ withResolved }) {
      const place = await replica();
      const open = place.ledger.openClashes().map((clash) => conflictOf(place.ledger, clash, undefined));
      const settled = withResolved ? [...place.ledger.settlements()].flatMap((one) => resolvedConflict(place.ledger, one) ?? []) : [];
      return { conflicts: [...open, ...settled] };
    },
    async resolveConflict({ id, strategy, winner }) {
      const place = await replica();
      const chosen = strategy === ConflictStrategy.UNSPECIFIED ? strategies[keeper.settings().conflicts] : strategy;
      const settlement = await place.resolve(id, chosen, { actor, winner });
      const conflict = resolvedConflict(place.ledger, settlement);
      if (conflict === undefined) throw new GuildError("internal", "the conflict was settled without a word");
      return { conflict };
    },
    async *rebuildKnowledge() {
      yield* keeper.rebuild();
    },
    tidyKnowledge: () => keeper.tidyNow(),
    async *exportKnowledge({ scopes }) {
      for await (const chunk of keeper.export(scopes)) yield { chunk };
    },
    async importKnowledge(requests) {
      return await keeper.import(requests);
    },
    async getPrivacyReport({ since, sessionId }) {
      return await keeper.privacyReport(since === undefined ? 0 : timestampMs(since), sessionId);
    },
    async *evaluateKnowledge(request) {
      yield* keeper.evaluate(request);
    },
  };
}

type Ledger = Awaited<ReturnType<GlobalKnowledge["open"]>>["replica"]["ledger"];
type Clash = ReturnType<Ledger["openClashes"]>[number];

function conflictOf(ledger: Ledger, clash: Clash, settlement: Operation | undefined): Conflict {
  const sides = clash.sides.flatMap((operation) => {
    const item = ledger.itemOfPut(operation) ?? "";
    const version = (ledger.item(item)?.puts.findIndex((put) => put.id === operation) ?? -1) + 1;
    return version === 0 ? [] : (ledger.read(item, { version }) ?? []);
  });
  const found = Math.max(0, ...sides.map((side) => (side.recordedFrom === undefined ? 0 : timestampMs(side.recordedFrom))));
  return create(ConflictSchema, {
    id: clash.id,
    kind: clash.kind,
    sides,
    reason: clash.reason,
    resolution: settlement === undefined ? "" : resolutionOf(settlement),
    found: timestampFromMs(found),
  });
}

function resolvedConflict(ledger: Ledger, settlement: Operation): Conflict | undefined {
  if (settlement.change.case !== "settle") return undefined;
  const { conflictId: id, kind, sides, reason } = settlement.change.value;
  const [left = "", right = ""] = sides;
  const items = [ledger.itemOfPut(left) ?? "", ledger.itemOfPut(right) ?? ""] as const;
  return conflictOf(ledger, { id, kind: kind as Clash["kind"], reason, sides: [left, right], items }, settlement);
}

function resolutionOf({ change, actor }: Operation): string {
  if (change.case !== "settle") return "";
  const names: Partial<Record<ConflictStrategy, string>> = {
    [ConflictStrategy.NEWEST]: "the newest stays",
    [ConflictStrategy.MOST_TRUSTED]: "the most trusted stays",
    [ConflictStrategy.KEEP_BOTH]: "both stay",
    [ConflictStrategy.PER_FIELD]: "field by field",
  };
  const how = change.value.kind === "duplicate" ? "the earlier stays, with the evidence of both" : names[change.value.strategy];
  return `${how ?? "a person chose"} (${actor})`;
}

/** Fields that differ, in words. */
function differences(before: Knowledge, after: Knowledge): Array<{ field: string; before: string; after: string }> {
  const facts = (one: Knowledge): Record<string, string> => ({
    title: one.title,
    text: one.text,
    key: one.key,
    tags: one.tags.join(", "),
    scope: `${one.scope?.kind ?? 0} ${one.scope?.id ?? ""}`.trim(),
    confidence: String(one.confidence),
    author: one.author,
    evidence: one.evidence
      .map(({ kind }) => JSON.stringify(kind.value, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value)))
      .join("\n"),
    valid_from: one.validFrom === undefined ? "" : new Date(timestampMs(one.validFrom)).toISOString(),
    valid_to: one.validTo === undefined ? "" : new Date(timestampMs(one.validTo)).toISOString(),
  });
  const [old, fresh] = [facts(before), facts(after)];
  return Object.keys(old).flatMap((field) =>
    old[field] === fresh[field] ? [] : [{ field, before: old[field] ?? "", after: fresh[field] ?? "" }],
  );
}
