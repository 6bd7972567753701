import { createHash } from "node:crypto";

import { clone } from "@bufbuild/protobuf";
import { type Clock, GuildError, type Ids, type OperationStore, type ProjectIdentity, type VectorIndex } from "@guildhall/core";
import { createSecretScanner } from "@guildhall/core/secret-scan";
import type { Settings } from "@guildhall/core/settings";
import type { Added, GlobalSearch, Replica } from "@guildhall/knowledge";
import { ConflictStrategy, type Knowledge, KnowledgeSchema, ScopeKind } from "@guildhall/protocol";

import type { BorderLog, Crossing } from "./border-log.ts";
import type { OpenedEmbedder } from "./embedder.ts";
import type { EvidenceFiles } from "./evidence-files.ts";
import type { GlobalVectors } from "./global-vectors.ts";
import type { FormerIndex } from "./re-embedding.ts";

export interface GlobalDeps {
  tenant: string;
  store: OperationStore;
  border: BorderLog;
  clock: Pick<Clock, "now">;
  ids: Ids;
  settings(): Settings["knowledge"];
  /** Undefined: there is none, and why was told. */
  embedder(): Promise<OpenedEmbedder | undefined>;
  /** Where the vectors are. */
  vectors(): GlobalVectors;
  /** What was made with another embedder and answers until there is a new index. */
  former(embedder: OpenedEmbedder, vectors: GlobalVectors): Promise<FormerIndex | undefined>;
  pace?(): Promise<void>;
  /** Whether a model judges contradictions before they are settled. */
  judged(): boolean;
  /** Items that have changed, whoever changed them. */
  changed(ids: ReadonlySet<string>): void;
  evidence: EvidenceFiles;
}

/** An opened place of what is known. */
export interface OpenGlobal {
  replica: Replica;
  search: GlobalSearch;
  /** Undefined: words alone. */
  vectors: VectorIndex | undefined;
  close(): Promise<void>;
}

/** What the workshop knows of one tenant: opened at its first use, closed with the daemon. */
export class GlobalKnowledge {
  readonly #deps: GlobalDeps;
  #opening: Promise<OpenGlobal> | undefined;
  #folded = Promise.withResolvers<Replica>();
  /** Names by paths whose facts have been looked for. */
  readonly #moved = new Set<string>();
  readonly #scanner = createSecretScanner();

  constructor(deps: GlobalDeps) {
    this.#deps = deps;
  }

  open(): Promise<OpenGlobal> {
    return (this.#opening ??= this.#open().catch((error: unknown) => {
      this.#opening = undefined;
      this.#folded = Promise.withResolvers();
      throw error;
    }));
  }

  /** The operations and what they amount to, which are there before the index for searches: all that other places need. */
  async replica(): Promise<Replica> {
    const opened = this.open().then(({ replica }) => replica);
    return await Promise.race([this.#folded.promise, opened]);
  }

  /** Undefined when nobody has used it yet. */
  async opened(): Promise<OpenGlobal | undefined> {
    return await this.#opening;
  }

  /**
   * Takes facts in across the border: what is secret or personal is taken out first, so that nothing else is ever stored, embedded or sent. `session`: where they were learned. Items that are
   * held back whole are missing from the answer's `items` by their place.
   */
  async add(
    items: readonly Knowledge[],
    by: { actor: string; operationId?: string; session?: string; project?: string },
  ): Promise<Added & { heldBack: number }> {
    const { tenant, border, ids } = this.#deps;
    const { actor, operationId = "", session = "", project = "" } = by;
    const { cross } = await import("@guildhall/knowledge");
    const { replica } = await this.open();
    const names = this.#deps.settings().names.split(",");
    const crossings: Crossing[] = [];
    const passed: Knowledge[] = [];
    for (const [at, item] of items.entries()) {
      const own = clone(KnowledgeSchema, item);
      own.author = actor;
      const result = cross(own, project, { scanner: this.#scanner, names });
      crossings.push({ id: operationId === "" ? ids.next("kop") : `${operationId}/${at}`, session, ...result });
      if (result.item !== undefined) passed.push(result.item);
    }
    await border.record(tenant, crossings);
    if (passed.length < items.length && items.length === 1) {
      throw new GuildError("failed_precondition", "nothing was stored: what is left without secrets and personal data is too little", {
        remedy: "say it without them",
      });
    }
    const added = await replica.add(passed, { actor, ...(operationId === "" ? {} : { operationId }) });
    return { ...added, heldBack: items.length - passed.length };
  }

  /** Until when it can be restored, milliseconds. The reason goes across the border as a fact does. */
  async forget(id: string, by: { actor: string; reason?: string }): Promise<number> {
    const { replica } = await this.open();
    const clean = await this.redactor();
    return await replica.forget(id, { actor: by.actor, reason: clean(by.reason ?? "") });
  }

  /** Takes in what others wrote into the same database, where anybody has asked for what is known yet. */
  async refresh(): Promise<void> {
    const opened = await this.#opening;
    await opened?.replica.refresh();
  }

  /** Takes secrets and personal data out of a text, as out of everything that leaves a session. */
  async redactor(): Promise<(text: string) => string> {
    const { redact } = await import("@guildhall/knowledge");
    const options = { scanner: this.#scanner, names: this.#deps.settings().names.split(","), personal: true };
    return (text) => redact(text, options).text;
  }

  /** The name under which a session's use is kept: the same for the session, and nobody's to turn back. */
  async pseudonym(session: string): Promise<string> {
    if (session === "") return "";
    const { replica } = await this.open();
    return createHash("sha256").update(`${replica.name}\0${session}`).digest("hex").slice(0, 16);
  }

  /** A directory whose project's files can be looked at; empty: none. */
  async lies(workspace: string): Promise<void> {
    if (workspace !== "") await this.#deps.evidence.visit(workspace);
  }

  /** The name of the project that a directory is. What was learned there under the name of its path is taken along, once a start. */
  async project(workspace: string): Promise<ProjectIdentity> {
    const identity = await this.#deps.evidence.learn(workspace);
    const { name, byPath } = identity;
    if (name !== byPath && !this.#moved.has(byPath)) {
      this.#moved.add(byPath);
      await this.#move(byPath, name).catch((error: unknown) => {
        this.#moved.delete(byPath);
        throw error;
      });
    }
    return identity;
  }

  async #move(from: string, to: string): Promise<void> {
    const replica = await this.replica();
    const { ledger } = replica;
    const byAuthor = new Map<string, Knowledge[]>();
    for (const { id } of ledger.items()) {
      const { scope } = ledger.peek(id) ?? {};
      if (scope?.kind !== ScopeKind.PROJECT || scope.id !== from || !ledger.isValid(id)) continue;
      const item = ledger.read(id);
      if (item?.scope === undefined) continue;
      item.scope.id = to;
      byAuthor.set(item.author, [...(byAuthor.get(item.author) ?? []), item]);
    }
    for (const [actor, items] of byAuthor) await replica.add(items, { actor });
  }

  async close(): Promise<void> {
    const opened = await this.#opening?.catch(() => undefined); // Whoever asked for it was told.
    await opened?.close();
  }

  async #open(): Promise<OpenGlobal> {
    const { tenant, store, clock, ids, settings, evidence, pace } = this.#deps;
    const { GlobalSearch, Replica } = await import("@guildhall/knowledge");
    // Operations are read before there is anything to search, and before anything is loaded to search with: other places wait for them.
    const searched: { folded: boolean; search?: GlobalSearch } = { folded: false };
    const replica = await Replica.open({
      tenant,
      store,
      clock,
      ids,
      strategy: () => strategies[settings().conflicts],
      judged: () => this.#deps.judged(),
      changed: (changed) => {
        searched.search?.changed(changed);
        if (searched.folded) this.#deps.changed(changed);
      },
      graceMs: settings().grace_days * 24 * 60 * 60 * 1000,
    });
    searched.folded = true;
    this.#folded.resolve(replica);
    const embedder = await this.#deps.embedder();
    const place = this.#deps.vectors();
    const former = embedder === undefined ? undefined : await this.#deps.former(embedder, place);
    const vectors = embedder === undefined ? undefined : place.index(embedder.model, () => searched.search?.refill());
    const search = await GlobalSearch.open(
      {
        ledger: replica.ledger,
        clock,
        ...(embedder === undefined || vectors === undefined ? {} : { embedder, vectors }),
        ...(former === undefined ? {} : { former }),
        doubt: (knowledge) => evidence.changed(knowledge),
        ...(pace === undefined ? {} : { pace }),
      },
      (begun) => (searched.search = begun),
    );
    // A service that was away when all was to be embedded anew is asked again until it is done.
    const again =
      former === undefined
        ? undefined
        : setInterval(() => void embedAgain(search).then((done) => done && clearInterval(again)), AGAIN_MS).unref();
    const close = async (): Promise<void> => {
      clearInterval(again);
      replica.close();
      await place.close();
    };
    return { replica, search, vectors, close };
  }
}

const AGAIN_MS = 30_000;

async function embedAgain(search: GlobalSearch): Promise<boolean> {
  try {
    await search.settled();
    return true;
  } catch {
    // The next time; searches tell it meanwhile.
    return false;
  }
}

export const strategies: Readonly<Record<Settings["knowledge"]["conflicts"], ConflictStrategy>> = {
  ask: ConflictStrategy.ASK,
  newest: ConflictStrategy.NEWEST,
  most_trusted: ConflictStrategy.MOST_TRUSTED,
  keep_both: ConflictStrategy.KEEP_BOTH,
  per_field: ConflictStrategy.PER_FIELD,
};

/** What a session of a project sees: its person's, its project's, its team's and everybody's. */
export function visibleScopes(
  settings: Settings["knowledge"],
  person: string,
  project: ProjectIdentity,
): Array<{ kind: ScopeKind; id: string }> {
  return [
    { kind: ScopeKind.USER, id: person },
    // By its path too: what a worker elsewhere, or an older version, has learned under that name.
    ...Array.from(new Set([project.name, project.byPath]), (id) => ({ kind: ScopeKind.PROJECT, id })),
    ...(settings.team === "" ? [] : [{ kind: ScopeKind.TEAM, id: settings.team }]),
    { kind: ScopeKind.GLOBAL, id: "" },
  ];
}
