/**
 * Whether feedback is worth its place (an ablation): made sessions of six kinds of work use the facts that help their kind, one use in five at random; then a session is asked what it
 * would find with and without what others used. All facts of a topic are alike in words, so that words alone cannot tell.
 */
import { create } from "@bufbuild/protobuf";
import { MemoryOperationStore, seededIds, seededRandom, simulatedClock } from "@guildhall/core/testing";
import { GlobalSearch, Replica } from "@guildhall/knowledge";
import { ConflictStrategy, FeedbackKind, KnowledgeSchema, ScopeKind, ScopeSchema } from "@guildhall/protocol";

import { table } from "../table.ts";

const KINDS = 6;
const TOPICS = 12;
const SESSIONS = 120;
const NOISE = 0.2;
const SEED = 11;

const random = seededRandom(SEED);
const clock = simulatedClock();
const place: { search?: GlobalSearch } = {};
const replica = await Replica.open({
  tenant: "t",
  store: new MemoryOperationStore("a"),
  clock,
  ids: seededIds(1),
  strategy: () => ConflictStrategy.KEEP_BOTH,
  changed: (ids) => place.search?.changed(ids),
});
const search = await GlobalSearch.open({ ledger: replica.ledger, clock });
place.search = search;

const letters = (at: number): string => `${"bcdfghklmnpr".charAt(at % 12)}${"aeiou".charAt(at % 5)}${"stvz".charAt(at % 4)}`;
const scope = create(ScopeSchema, { kind: ScopeKind.PROJECT, id: "p" });
const helps = new Map<string, { kind: number; topic: number }>();
for (let topic = 0; topic < TOPICS; topic += 1) {
  for (let at = 0; at < KINDS * 3; at += 1) {
    const text = `Release of ${letters(topic)}on${letters(topic + 5)} step ${letters(at)}ix${letters(at * 7 + topic)} ${letters(at + 3)}um.`;
    const { items } = await replica.add([create(KnowledgeSchema, { text, scope, confidence: 0.5 })], { actor: "person:p" });
    for (const { id } of items) helps.set(id, { kind: at % KINDS, topic });
  }
}
const all = [...helps.keys()];
const ofKind = (kind: number): string[] => all.filter((id) => helps.get(id)?.kind === kind);
for (let session = 0; session < SESSIONS; session += 1) {
  const kind = session % KINDS;
  const used = random.shuffle(ofKind(kind)).slice(0, 6);
  const ids = used.map((id) => (random.chance(NOISE) ? random.pick(all) : id));
  await replica.feedback(ids, FeedbackKind.USED, { actor: "system", session: `s${session}`, role: `role${kind}`, project: "p" });
  await clock.advance(60_000);
}

const figures: Record<string, number[]> = { words: [], own: [], role: [], stranger: [] };
for (let kind = 0; kind < KINDS; kind += 1) {
  const known = random.shuffle(ofKind(kind)).slice(0, 3);
  await replica.feedback(known, FeedbackKind.USED, { actor: "system", session: `new${kind}`, role: "", project: "" });
  for (let topic = 0; topic < TOPICS; topic += 1) {
    const right = ofKind(kind).filter((id) => helps.get(id)?.topic === topic && !known.includes(id));
    const query = `release of ${letters(topic)}on${letters(topic + 5)}`;
    const askers = {
      words: {},
      own: { session: `new${kind}` },
      role: { session: "cold", role: `role${kind}`, project: "p" },
      stranger: { session: "cold", role: "nobody", project: "elsewhere" },
    };
    for (const [name, asker] of Object.entries(askers)) {
      const { found } = await search.find({ query, limit: 3, ...asker });
      const ids = found.map((one) => one.item?.id ?? "");
      figures[name]?.push(ids.filter((id) => right.includes(id)).length / Math.min(3, right.length));
    }
  }
}
const mean = (name: string): number => {
  const values = figures[name] ?? [];
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
};
console.log(
  table(`Feedback: recall@3 of the facts that help one kind of work in ${KINDS}, ${SESSIONS} sessions before (made, seed ${SEED})`, [
    { name: "by words and worth alone", value: mean("words"), unit: "" },
    { name: "with what the session itself has used (three facts)", value: mean("own"), unit: "" },
    { name: "cold start: with what its role and project used", value: mean("role"), unit: "" },
    { name: "a stranger, of whom nothing is known", value: mean("stranger"), unit: "" },
  ]),
);
