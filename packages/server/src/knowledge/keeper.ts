import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Clock, GuildError } from "@guildhall/core";
import type { Settings } from "@guildhall/core/settings";
import type { Ledger } from "@guildhall/knowledge";
import {
  type EvaluateKnowledgeRequest,
  type EvaluateKnowledgeResponseSchema,
  ExplainKnowledgeResponseSchema,
  type ExplainKnowledgeResponse,
  type GetKnowledgeStatsResponse,
  GetKnowledgeStatsResponseSchema,
  type GetPrivacyReportResponse,
  type ImportKnowledgeRequest,
  type Knowledge,
  KnowledgeState,
  type Scope,
  ScopeKind,
  type SyncKnowledgeResponse,
  SyncKnowledgeResponseSchema,
} from "@guildhall/protocol";

import type { Log } from "../daemon/log.ts";
import type { BorderLog } from "./border-log.ts";
import type { OpenedEmbedder } from "./embedder.ts";
import type { EvidenceFiles } from "./evidence-files.ts";
import type { Exchanger } from "./exchanger.ts";
import type { GlobalKnowledge } from "./global.ts";
import { addressesIn, remoteAt } from "./remotes.ts";

export interface KeeperDeps {
  tenant: string;
  knowledge: GlobalKnowledge;
  border: BorderLog;
  clock: Pick<Clock, "now">;
  journal: Log;
  settings(): Settings["knowledge"];
  embedder(): Promise<OpenedEmbedder | undefined>;
  evidence: EvidenceFiles;
  exchanger: Exchanger;
  /** Joins what several sessions learned alike. */
  consolidate(): Promise<{ joined: number; originals: number }>;
}

/** What is done with the whole of what is known: told, exchanged, tidied, copied, measured. */
export class KnowledgeKeeper {
  readonly #deps: KeeperDeps;
  #tidied = 0;

  constructor(deps: KeeperDeps) {
    this.#deps = deps;
  }

  settings(): Settings["knowledge"] {
    return this.#deps.settings();
  }

  isDoubtful(item: Knowledge): Promise<boolean> {
    return item.state === KnowledgeState.VALID ? this.#deps.evidence.changed(item) : Promise.resolve(false);
  }

  async stats(): Promise<GetKnowledgeStatsResponse> {
    const { knowledge } = this.#deps;
    const { replica, search, vectors } = await knowledge.open();
    const { ledger } = replica;
    let [items, versions, doubtful, cold] = [0, 0, 0, 0];
    for (const item of ledger.items()) {
      versions += item.puts.length;
      if (item.coldAt !== undefined && item.forgottenAt === undefined) cold += 1;
      if (!ledger.isValid(item.id)) continue;
      items += 1;
      const knowledge = ledger.peek(item.id);
      if (knowledge !== undefined && (await this.#deps.evidence.changed(knowledge))) doubtful += 1;
    }
    const embedder = await this.#deps.embedder();
    const { memoryHits = 0, diskHits = 0, misses = 0 } = embedder?.counts() ?? {};
    const spent = embedder?.spent();
    return create(GetKnowledgeStatsResponseSchema, {
      items: BigInt(items),
      versions: BigInt(versions),
      doubtful: BigInt(doubtful),
      cold: BigInt(cold),
      conflicts: BigInt(ledger.openClashes().length),
      embeddingLag: BigInt(search.lag),
      embeddings: {
        model: embedder?.model.id ?? "",
        dimension: embedder?.model.dimension ?? 0,
        spec: this.settings().embedder,
        answering: search.answering ?? "",
        tokens: BigInt(spent?.tokens ?? 0),
        costUsd: spent?.costUsd ?? 0,
        costKnown: spent?.costKnown ?? true,
        memoryHits: BigInt(memoryHits),
        diskHits: BigInt(diskHits),
        misses: BigInt(misses),
      },
      vectorStore: vectors?.kind ?? "none",
      replicas: [...ledger.known].map(([name, operations]) => {
        const remote = [...this.#deps.exchanger.heard.values()].find((one) => one.replica === name);
        return {
          replica: name === replica.name ? `${name} (this one)` : name,
          operations,
          behind: remote === undefined ? 0n : BigInt(ledger.after(remote.known, Infinity).operations.length),
          ...(remote === undefined ? {} : { lastExchange: timestampFromMs(remote.at) }),
        };
      }),
    });
  }

  /** Why an item ranks and stays as it does. Counts of use of what is wider than a project are shown with noise. */
  async explain(id: string): Promise<ExplainKnowledgeResponse> {
    const { replica } = await this.#deps.knowledge.open();
    const { GLOBAL_RETENTION, heldBecause, noisyCount, worthOf } = await import("@guildhall/knowledge");
    const knowledge = replica.read(id);
    const item = replica.ledger.item(id);
    if (item === undefined) throw new GuildError("not_found", "there is no such item", { subject: id });
    if (await this.isDoubtful(knowledge)) knowledge.state = KnowledgeState.DOUBTFUL;
    const now = this.#deps.clock.now().getTime();
    const worth = worthOf(item, knowledge, now);
    const wide = knowledge.scope?.kind === ScopeKind.TEAM || knowledge.scope?.kind === ScopeKind.GLOBAL;
    const parts = worth.parts.map((part) =>
      wide && part.name === "use" ? { ...part, text: `about ${noisyCount(item.uses.length, id)} uses` } : part,
    );
    const held = heldBecause(item, {
      now,
      unsynchronised: this.#unsynchronised(replica.ledger, id),
      cited: citedIn(replica.ledger).has(id),
    });
    const { grace_days: grace } = this.settings();
    const fate = fateOf(knowledge, worth.score, held, { grace, least: GLOBAL_RETENTION.leastWorth });
    return create(ExplainKnowledgeResponseSchema, { score: worth.score, parts, fate });
  }

  /** Sets apart what is worth least, by the policy; answers with how many. What is pinned, cited, in use or not exchanged yet stays. */
  async tidy(): Promise<number> {
    const { replica } = await this.#deps.knowledge.open();
    const { GLOBAL_RETENTION, heldBecause, presentPut, worthOf, writtenAt } = await import("@guildhall/knowledge");
    const now = this.#deps.clock.now().getTime();
    const scored = [...replica.ledger.items()]
      .filter((item) => replica.ledger.isValid(item.id))
      .map((item) => ({ item, score: worthOf(item, replica.read(item.id), now).score }))
      .toSorted((x, y) => x.score - y.score);
    let over = scored.length - this.settings().max_items;
    const leaving = new Map<string, string>();
    const cited = citedIn(replica.ledger);
    for (const { item, score } of scored) {
      const old = score < GLOBAL_RETENTION.leastWorth && now - writtenAt(presentPut(item)) > GLOBAL_RETENTION.minAgeMs;
      if (!old && over <= 0) break;
      if (
        heldBecause(item, {
          now,
          unsynchronised: this.#unsynchronised(replica.ledger, item.id),
          cited: cited.has(item.id),
        }) !== ""
      )
        continue;
      leaving.set(item.id, old ? `worth ${score.toFixed(2)}, and old` : `worth ${score.toFixed(2)}, the least of too many`);
      over -= 1;
    }
    await replica.prune([...leaving.keys()], (id) => leaving.get(id) ?? "");
    return leaving.size;
  }

  /** `tidy`, unless it was done within the last day. */
  async tidyDaily(): Promise<void> {
    const now = this.#deps.clock.now().getTime();
    if (now - this.#tidied < 24 * 60 * 60 * 1000) return;
    this.#tidied = now;
    const { joined, originals } = await this.#deps.consolidate();
    if (joined > 0) this.#deps.journal.info(`knowledge: ${originals} item(s) of several sessions joined into ${joined}`);
    const gone = await this.tidy();
    if (gone > 0) this.#deps.journal.info(`knowledge: ${gone} item(s) set apart; guild knowledge why tells`);
  }

  /** All that is done once a day, now. */
  async tidyNow(): Promise<{ joined: bigint; originals: bigint; setApart: bigint }> {
    this.#tidied = this.#deps.clock.now().getTime();
    const { joined, originals } = await this.#deps.consolidate();
    return { joined: BigInt(joined), originals: BigInt(originals), setApart: BigInt(await this.tidy()) };
  }

  /** Exchanges with one address, or with all that are configured. What is away is told when it was asked for by name, else passed over. */
  async synchronise(address: string): Promise<SyncKnowledgeResponse> {
    const { remotes, remote_token: token } = this.settings();
    const addresses = address === "" ? addressesIn(remotes) : [address];
    if (addresses.length === 0) {
      throw new GuildError("failed_precondition", "no other Guildhall is known", { remedy: "set knowledge.remotes, or name its address" });
    }
    const { replica } = await this.#deps.knowledge.open();
    let [sent, received] = [0, 0];
    const failures: unknown[] = [];
    for (const one of addresses) {
      try {
        const done = await this.#deps.exchanger.once(remoteAt(one, token));
        sent += done.sent;
        received += done.received;
      } catch (error) {
        failures.push(error);
        this.#deps.journal.warn(`knowledge: ${one}: ${GuildError.from(error).line}`);
      }
    }
    if (failures.length === addresses.length) throw GuildError.from(failures[0]);
    return create(SyncKnowledgeResponseSchema, {
      sent: BigInt(sent),
      received: BigInt(received),
      conflicts: BigInt(replica.ledger.openClashes().length),
    });
  }

  /** Makes the vectors anew from the rows. */
  async *rebuild(): AsyncGenerator<{ done: bigint; total: bigint }> {
    const { replica, search } = await this.#deps.knowledge.open();
    await replica.refresh();
    const ids = [...replica.ledger.items()].map((item) => item.id);
    for (let from = 0; from < ids.length; from += 256) {
      await search.rebuild(ids.slice(from, from + 256));
      yield { done: BigInt(Math.min(ids.length, from + 256)), total: BigInt(ids.length) };
    }
    if (ids.length === 0) yield { done: 0n, total: 0n };
  }

  async *export(scopes: readonly Scope[]): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    const { replica } = await this.#deps.knowledge.open();
    const { exportOperations } = await import("@guildhall/knowledge");
    for (const line of exportOperations(replica.ledger, scopes)) yield Buffer.from(line);
  }

  async import(requests: AsyncIterable<ImportKnowledgeRequest>): Promise<{ items: bigint; versions: bigint; knownAlready: bigint }> {
    const { replica } = await this.#deps.knowledge.open();
    const { readOperations } = await import("@guildhall/knowledge");
    const operations = await readOperations(chunksOf(requests));
    const fresh = operations.filter((one) => !replica.ledger.has(one.id));
    const before = replica.ledger.size;
    await replica.import(operations);
    const versions = fresh.filter((one) => one.change.case === "put").length;
    return {
      items: BigInt(replica.ledger.size - before),
      versions: BigInt(versions),
      knownAlready: BigInt(operations.length - fresh.length),
    };
  }

  privacyReport(since: number, session: string): Promise<GetPrivacyReportResponse> {
    return this.#deps.border.report(this.#deps.tenant, { since, session });
  }

  async *evaluate(request: EvaluateKnowledgeRequest): AsyncGenerator<MessageInitShape<typeof EvaluateKnowledgeResponseSchema>> {
    const { openVectorIndex, runEval } = await import("@guildhall/knowledge");
    const embedder = await this.#deps.embedder();
    const vectors = embedder === undefined ? undefined : await openVectorIndex(embedder.model);
    const meanings = embedder === undefined || vectors === undefined ? {} : { embedder, vectors };
    try {
      const { docs, queries, qrels, k } = request;
      const reports = await runEval({ docs, queries, qrels, k: k === 0 ? 10 : k, ...meanings }, () => undefined);
      for (const { p50_ms: p50Ms, p99_ms: p99Ms, ...rest } of reports) yield { ...rest, p50Ms, p99Ms };
    } finally {
      await vectors?.close();
    }
  }

  /** With remotes configured, what none of them has got yet. */
  #unsynchronised(ledger: Ledger, id: string): boolean {
    if (this.settings().remotes === "") return false;
    const item = ledger.item(id);
    const known = [...this.#deps.exchanger.heard.values()].map((one) => one.known);
    return (item?.puts ?? []).some((put) => !known.some((one) => put.seq <= (one[put.replica] ?? 0n)));
  }
}

/** Items that others name, in their text or as a page that they rest on. */
function citedIn(ledger: Ledger): Set<string> {
  const cited = new Set<string>();
  for (const { id } of ledger.items()) {
    const knowledge = ledger.peek(id);
    const pages = (knowledge?.evidence ?? []).flatMap(({ kind }) => (kind.case === "url" ? [kind.value] : []));
    for (const text of [knowledge?.text ?? "", ...pages])
      for (const [name] of text.matchAll(/kno_[0-9A-Za-z]+/g)) if (name !== id) cited.add(name);
  }
  return cited;
}

function fateOf(knowledge: Knowledge, score: number, held: string, policy: { grace: number; least: number }): string {
  switch (knowledge.state) {
    case KnowledgeState.FORGOTTEN:
      return `forgotten; it can be brought back for ${policy.grace} days`;
    case KnowledgeState.COLD:
      return `set apart; it can be brought back for ${policy.grace} days`;
    case KnowledgeState.SUPERSEDED:
      return "superseded by another item; it stays in history";
    default:
      if (held !== "") return `stays: ${held}`;
      return score < policy.least ? `goes when it is 90 days old: worth less than ${policy.least}` : "stays by its worth";
  }
}

async function* chunksOf(requests: AsyncIterable<ImportKnowledgeRequest>): AsyncGenerator<Uint8Array> {
  for await (const { chunk } of requests) yield chunk;
}
