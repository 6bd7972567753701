import { GuildError } from "@guildhall/core";
import type { GlobalSearch, Replica } from "@guildhall/knowledge";
import { type Knowledge, KnowledgeState } from "@guildhall/protocol";
import { z } from "zod";

import type { Log } from "../daemon/log.ts";
import type { KnowledgeModel } from "./knowledge-model.ts";

export interface ContradictionsDeps {
  model: KnowledgeModel;
  open(): Promise<{ replica: Replica; search: GlobalSearch }>;
  journal: Log;
  /** Resolves when no session works. */
  quiet(): Promise<void>;
  signal: AbortSignal;
}

/** Facts that one new fact is laid beside. */
const BESIDE = 5;
/** Facts that wait to be judged; beyond, the rules decide. */
const MOST_WAITING = 500;

/**
 * Has a model judge whether what has become known contradicts what was: one question a new version, one after another, when nobody works. Its word goes before
 * the rules' and is itself an operation, so that all places come to the same. Where it fails the rules decide, and the journal tells.
 */
export class Contradictions {
  readonly #deps: ContradictionsDeps;
  readonly #waiting = new Set<string>();
  #work: Promise<void> | undefined;

  constructor(deps: ContradictionsDeps) {
    this.#deps = deps;
  }

  /** Whether a model is there to judge. */
  judges(): boolean {
    return this.#deps.model.name() !== undefined;
  }

  /** Items that have changed. Returns at once. */
  later(ids: ReadonlySet<string>): void {
    if (!this.judges()) return;
    for (const id of ids) if (this.#waiting.size < MOST_WAITING) this.#waiting.add(id);
    this.#work ??= this.#judgeWaiting().finally(() => (this.#work = undefined));
    // Nothing is thrown but by a store that is gone: then it is asked about again with the next change.
    this.#work.catch((error: unknown) => this.#deps.journal.warn(`knowledge: not judged: ${GuildError.from(error).line}`));
  }

  /** Resolves when nothing waits. */
  async settled(): Promise<void> {
    await this.#work?.catch(() => undefined); // The journal was told.
  }

  async #judgeWaiting(): Promise<void> {
    while (this.#waiting.size > 0 && !this.#deps.signal.aborted) {
      await this.#deps.quiet();
      const [id = ""] = this.#waiting;
      this.#waiting.delete(id);
      const { replica } = await this.#deps.open();
      try {
        await this.#judge(id);
      } catch (error) {
        if (this.#deps.signal.aborted) return;
        this.#deps.journal.warn(`knowledge: ${id}: judged by rules alone: ${GuildError.from(error).line}`);
        await replica.settle(id);
      }
    }
  }

  async #judge(id: string): Promise<void> {
    const { replica, search } = await this.#deps.open();
    const { ledger } = replica;
    if (!ledger.isValid(id)) return;
    const { presentPut } = await import("@guildhall/knowledge");
    const version = (item: string): string => {
      const known = ledger.item(item);
      return known === undefined ? "" : presentPut(known).id;
    };
    const own = replica.read(id);
    const query = [own.title, own.key, own.text].filter((part) => part !== "").join(" ");
    const scopes = own.scope === undefined ? [] : [own.scope];
    const near = await search.find({ query, limit: BESIDE + 1, scopes, related: true });
    const ruled = ledger.openClashes(id).flatMap((clash) => clash.items);
    const beside = new Map<string, Knowledge>();
    for (const other of [...ruled, ...near.found.flatMap(({ item }) => item?.id ?? [])]) {
      if (other === id || beside.size >= BESIDE || !ledger.isValid(other) || ledger.isJudged([version(id), version(other)])) continue;
      const item = replica.read(other);
      if (item.state === KnowledgeState.VALID) beside.set(other, item);
    }
    if (beside.size === 0) return await replica.settle(id);
    const others = [...beside.values()];
    const versions = others.map((other) => [version(id), version(other.id)] as const);
    const data = JSON.stringify({ fact: shown(own), others: others.map((other, at) => ({ number: at + 1, ...shown(other) })) });
    const verdicts = answer.parse(await this.#deps.model.ask(INSTRUCTIONS, data, this.#deps.signal));
    const said = versions.flatMap((pair, at) => {
      const verdict = verdicts.find(({ number }) => number === at + 1);
      return verdict === undefined ? [] : [{ versions: pair, contradiction: verdict.contradicts, reason: verdict.reason }];
    });
    await replica.judge(said, { actor: "system", model: this.#deps.model.name() ?? "" });
    await replica.settle(id);
  }
}

const answer = z.array(z.object({ number: z.number().int(), contradicts: z.boolean(), reason: z.string().default("") }));

function shown({ title, key, text }: Knowledge): Record<string, string> {
  return { ...(title === "" ? {} : { title }), ...(key === "" ? {} : { about: key }), text: text.slice(0, 2_000) };
}

const INSTRUCTIONS = `You keep the knowledge of a software workshop free of contradictions. You get one fact that is new and others that are known.
For each of the others say whether both can hold of the same thing at the same time. They contradict only if believing both would mislead: another value of the same setting, the opposite rule, another place of the same thing.
Facts about different things, more detail, or exceptions that are named do not contradict.
Answer: [{"number": 1, "contradicts": true, "reason": "in at most fifteen words"}, …], one entry for each of the others.`;
