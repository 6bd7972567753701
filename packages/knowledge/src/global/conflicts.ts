import { createHash } from "node:crypto";

import type { Knowledge, Operation } from "@guildhall/protocol";

import { likenessOf, relate, type Relation } from "./likeness.ts";
import { areNear, NearWords, type WordSet } from "./near-words.ts";

/** Two valid versions that cannot both stand, or need not. */
export interface Clash {
  /** The same at every replica: of the two versions and the kind. */
  id: string;
  kind: "key" | "duplicate" | "contradiction";
  reason: string;
  /** Operations that wrote the two versions, in the order of their ids. */
  sides: readonly [string, string];
  /** Items of those versions. */
  items: readonly [string, string];
}

/** Whether two facts can both hold, by a model's word. */
export interface Verdict {
  contradiction: boolean;
  reason: string;
}

/** What there is in memory of a version that counts: little, for there is one of each item. */
interface Entry extends WordSet {
  item: string;
  operation: string;
  scope: string;
  key: string;
  text: string;
}

/** Finds what present versions of valid items clash: by key, by likeness, within one scope. Which clashes there are does not depend on the order. */
export class ClashFinder {
  readonly #entries = new Map<string, Entry>();
  readonly #byKey = new Map<string, Set<string>>();
  /** By scope. */
  readonly #byWords = new Map<string, NearWords<Entry>>();
  /** Those that have no words, by scope and text: exact parts alone. */
  readonly #wordless = new Map<string, Set<string>>();
  readonly #clashes = new Map<string, Clash>();
  readonly #ofItem = new Map<string, Set<string>>();
  readonly #byOperation = new Map<string, Entry>();
  /** What was judged of two versions, by the one and by the other. */
  readonly #verdicts = new Map<string, Map<string, Verdict>>();

  /** What a model said of two versions goes before the rules, as long as both are present. */
  judge([left, right]: readonly [string, string], verdict: Verdict): void {
    for (const [one, other] of [
      [left, right],
      [right, left],
    ] as const) {
      const all = this.#verdicts.get(one) ?? new Map<string, Verdict>();
      this.#verdicts.set(one, all.set(other, verdict));
    }
    const [x, y] = [this.#byOperation.get(left), this.#byOperation.get(right)];
    if (x === undefined || y === undefined) return;
    for (const id of this.#ofItem.get(x.item) ?? []) if (this.#clashes.get(id)?.items.includes(y.item) === true) this.#unclash(id);
    this.#compare(x, y);
  }

  isJudged([left, right]: readonly [string, string]): boolean {
    return this.#verdicts.get(left)?.has(right) === true;
  }

  /** The item's present version is this one; undefined: it has none that counts. */
  set(item: string, put: Operation | undefined): void {
    const known = this.#entries.get(item);
    if (known?.operation === put?.id) return;
    this.#drop(item);
    if (put?.change.case !== "put") return;
    const knowledge = put.change.value;
    const entry = entryOf(item, put.id, knowledge, knowledge.key);
    for (const other of this.#candidates(entry)) this.#compare(entry, other);
    this.#entries.set(item, entry);
    this.#byOperation.set(entry.operation, entry);
    if (entry.key !== "") place(this.#byKey, `${entry.scope}\0${entry.key}`, item);
    if (entry.words.length === 0) place(this.#wordless, `${entry.scope}\0${entry.text}`, item);
    const near = this.#byWords.get(entry.scope) ?? new NearWords<Entry>();
    this.#byWords.set(entry.scope, near);
    near.add(entry);
  }

  /** Items of that scope which the text may repeat or contradict, with how. */
  related(knowledge: Knowledge): Array<{ item: string; kind: "duplicate" | "contradiction"; reason: string }> {
    const entry = entryOf("", "", knowledge, "");
    return [...this.#candidates(entry)].flatMap((other) => {
      const relation = ruled(entry, other);
      return relation === undefined ? [] : [{ item: other.item, ...relation }];
    });
  }

  all(): Iterable<Clash> {
    return this.#clashes.values();
  }

  /** Those that one item has part in. */
  of(item: string): Clash[] {
    return [...(this.#ofItem.get(item) ?? [])].flatMap((id) => this.#clashes.get(id) ?? []);
  }

  get(id: string): Clash | undefined {
    return this.#clashes.get(id);
  }

  #candidates(entry: Entry): Set<Entry> {
    const found = new Set<Entry>();
    const take = (other: Entry | undefined): void => {
      if (other !== undefined && other.item !== entry.item) found.add(other);
    };
    if (entry.key !== "") for (const item of this.#byKey.get(`${entry.scope}\0${entry.key}`) ?? []) take(this.#entries.get(item));
    for (const other of this.#byWords.get(entry.scope)?.near(entry.words) ?? []) take(other);
    if (entry.words.length === 0)
      for (const item of this.#wordless.get(`${entry.scope}\0${entry.text}`) ?? []) take(this.#entries.get(item));
    for (const operation of this.#verdicts.get(entry.operation)?.keys() ?? []) take(this.#byOperation.get(operation));
    return found;
  }

  #compare(x: Entry, y: Entry): void {
    const verdict = this.#verdicts.get(x.operation)?.get(y.operation);
    const byRules = ruled(x, y);
    const relation = verdict === undefined || byRules?.kind === "duplicate" ? byRules : contradictionOf(verdict);
    if (relation?.kind === "duplicate") this.#clash(x, y, relation.kind, relation.reason);
    else if (x.key !== "" && x.key === y.key) this.#clash(x, y, "key", `both are about ${x.key}`);
    else if (relation !== undefined) this.#clash(x, y, relation.kind, relation.reason);
  }

  #clash(x: Entry, y: Entry, kind: Clash["kind"], reason: string): void {
    const [a, b] = x.operation < y.operation ? [x, y] : [y, x];
    const id = `cfl_${createHash("sha256").update(`${kind}\0${a.operation}\0${b.operation}`).digest("hex").slice(0, 20)}`;
    this.#clashes.set(id, { id, kind, reason, sides: [a.operation, b.operation], items: [a.item, b.item] });
    for (const { item } of [a, b]) place(this.#ofItem, item, id);
  }

  #drop(item: string): void {
    const entry = this.#entries.get(item);
    if (entry === undefined) return;
    this.#entries.delete(item);
    this.#byOperation.delete(entry.operation);
    remove(this.#byKey, `${entry.scope}\0${entry.key}`, item);
    remove(this.#wordless, `${entry.scope}\0${entry.text}`, item);
    this.#byWords.get(entry.scope)?.drop(entry);
    for (const id of this.#ofItem.get(item) ?? []) this.#unclash(id);
  }

  #unclash(id: string): void {
    for (const item of this.#clashes.get(id)?.items ?? []) remove(this.#ofItem, item, id);
    this.#clashes.delete(id);
  }
}

export function scopeKey({ scope }: Pick<Knowledge, "scope">): string {
  return `${scope?.kind ?? 0}:${scope?.id ?? ""}`;
}

function contradictionOf({ contradiction, reason }: Verdict): Relation | undefined {
  return contradiction ? { kind: "contradiction", reason } : undefined;
}

function entryOf(item: string, operation: string, knowledge: Knowledge, key: string): Entry {
  const { text } = knowledge;
  return { item, operation, scope: scopeKey(knowledge), key, text, words: likenessOf({ text }).hashes, look: 0, dropped: false };
}

function ruled(x: Entry, y: Entry): Relation | undefined {
  return areNear(x.words, y.words) ? relate(likenessOf(x), likenessOf(y)) : undefined;
}

function place(map: Map<string, Set<string>>, key: string, value: string): void {
  const set = map.get(key);
  if (set === undefined) map.set(key, new Set([value]));
  else set.add(value);
}

function remove(map: Map<string, Set<string>>, key: string, value: string): void {
  const set = map.get(key);
  set?.delete(value);
  if (set?.size === 0) map.delete(key);
}
