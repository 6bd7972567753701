import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Embedder, GuildError, type VectorIndex } from "@guildhall/core";
import { MemoryOperationStore, seededIds, seededRandom, simulatedClock } from "@guildhall/core/testing";
import {
  ConflictStrategy,
  FeedbackKind,
  type Knowledge,
  KnowledgeSchema,
  KnowledgeState,
  ScopeKind,
  ScopeSchema,
} from "@guildhall/protocol";

import { openExactIndex } from "../vectors/exact-index.ts";
import { Replica } from "./replica.ts";
import { GlobalSearch } from "./search.ts";

const by = { actor: "person:p" };
const scope = (id: string) => create(ScopeSchema, { kind: ScopeKind.PROJECT, id });
const fact = (text: string, more: MessageInitShape<typeof KnowledgeSchema> = {}): Knowledge =>
  create(KnowledgeSchema, { text, scope: scope("p"), confidence: 0.5, ...more });

async function opened(doubt?: (knowledge: Knowledge) => Promise<boolean>, dense: { embedder?: Embedder; vectors?: VectorIndex } = {}) {
  const clock = simulatedClock();
  const place: { search?: GlobalSearch } = {};
  const replica = await Replica.open({
    tenant: "t",
    store: new MemoryOperationStore("a"),
    clock,
    ids: seededIds(1),
    strategy: () => ConflictStrategy.NEWEST,
    changed: (ids) => place.search?.changed(ids),
  });
  const search = await GlobalSearch.open({ ledger: replica.ledger, clock, ...dense, ...(doubt === undefined ? {} : { doubt }) });
  place.search = search;
  const texts = async (query: string, more = {}) => (await search.find({ query, limit: 10, ...more })).found.map((one) => one.item?.text);
  return { clock, replica, search, texts };
}

describe("search over what is known", () => {
  it("gives what is nearest to a fact by words alone, where that is asked for, though it would answer no question", async () => {
    const { replica, texts } = await opened();
    const road = "The mountain road is closed while there is snow.";
    const winter = "In winter everyone drives over the mountain road.";
    await replica.add([fact(road), fact(winter)], by);
    assert.deepEqual(await texts(winter), [winter]);
    assert.deepEqual((await texts(winter, { related: true })).slice(0, 2), [winter, road]);
  });

  it("finds what is valid, in the scopes and with the tags that are asked for, and as it was", async () => {
    const { clock, replica, texts, search } = await opened();
    const { items } = await replica.add(
      [fact("Lighthouses need keepers.", { tags: ["sea"] }), fact("Lighthouses are tall.", { scope: scope("other") })],
      by,
    );
    const before = clock.now().getTime();
    await clock.advance(60_000);
    assert.deepEqual(await texts("lighthouses", { scopes: [scope("p")] }), ["Lighthouses need keepers."]);
    assert.deepEqual(await texts("lighthouses", { tags: ["sea"] }), ["Lighthouses need keepers."]);
    await replica.add([fact("Lighthouses need nobody.", { id: items[0]?.id ?? "", tags: ["sea"] })], by);
    assert.deepEqual(await texts("lighthouses", { tags: ["sea"] }), ["Lighthouses need nobody."]);
    assert.deepEqual(await texts("lighthouses", { tags: ["sea"], asOf: before }), ["Lighthouses need keepers."]);
    await replica.forget(items[0]?.id ?? "", by);
    assert.deepEqual(await texts("lighthouses", { tags: ["sea"] }), []);
    await assert.rejects(search.find({ query: " ", limit: 3 }), (error) => GuildError.is(error, "invalid_argument"));
  });

  it("answers the same whichever vectors have arrived: what has no word of the question counts by its own likeness", async () => {
    const facts = ["Otters hold hands while they sleep.", "Herons stand on one leg.", "Badgers dig at night."];
    const otters = [1, 0, 0];
    const near = (cosine: number) => [cosine, Math.sqrt(1 - cosine ** 2), 0];
    const likeness = [otters, near(0.3), near(0.55)];
    for (let arrived = 0; arrived < 8; arrived += 1) {
      const gate = Promise.withResolvers<never>();
      gate.promise.catch(() => undefined);
      let queries = false;
      const embedder: Embedder = {
        model: { id: "by hand", dimension: 3 },
        embed: async (texts) => (queries ? texts.map(() => Float32Array.from(otters)) : await gate.promise),
        close: () => Promise.resolve(),
      };
      const vectors = await openExactIndex(embedder.model);
      const { replica, search } = await opened(undefined, { embedder, vectors });
      const { items } = await replica.add(
        facts.map((text) => fact(text)),
        by,
      );
      await vectors.add(
        items.flatMap(({ id }, at) => ((arrived >> at) % 2 === 0 ? [] : [{ id, vector: Float32Array.from(likeness[at] ?? []) }])),
      );
      queries = true;
      const { found } = await search.find({ query: "otters", limit: 10 });
      const expected = (arrived & 4) === 0 ? [facts[0]] : [facts[0], facts[2]];
      assert.deepEqual(
        found.map((one) => one.item?.text),
        expected,
        `vectors ${arrived.toString(2)}`,
      );
      gate.reject(new GuildError("cancelled", "the test is over"));
    }
  });

  it("keeps the second of two that have words of the question, however small the collection", async () => {
    const { replica, texts } = await opened();
    await replica.add([fact("The build needs gcc twelve."), fact("The build writes into dist.")], by);
    assert.deepEqual(await texts("build gcc needs dist"), ["The build needs gcc twelve.", "The build writes into dist."]);
  });

  it("ranks lower what rests on something that has changed", async () => {
    const { replica, search } = await opened((knowledge) => Promise.resolve(knowledge.text.includes("old")));
    await replica.add([fact("The parser reads old headers first."), fact("The parser reads new headers later.")], by);
    const { found } = await search.find({ query: "parser headers reads", limit: 5 });
    assert.deepEqual(
      found.map((one) => one.item?.state),
      [KnowledgeState.VALID, KnowledgeState.DOUBTFUL],
    );
    assert.ok(found[1]?.parts.some((part) => part.name === "doubt"));
  });

  it("ranks higher what helped like sessions, within a bound, and nobody's cold start is harmed (seed 8)", async () => {
    const { replica, search } = await opened();
    const random = seededRandom(8);
    // Two kinds of work in one project; each has items that help it, in the same words.
    const kinds = ["web", "data"];
    const names = "amber basil cedar dahlia elder fern ginger hazel iris jasmine".split(" ");
    const { items } = await replica.add(
      names.flatMap((name) => kinds.map((kind) => fact(`Deploy checklist ${name} ${kind === "web" ? "opal" : "onyx"} of the release.`))),
      by,
    );
    const ofKind = (kind: number) => items.filter((_, at) => at % 2 === kind).map((item) => item.id);
    for (let session = 0; session < 30; session += 1) {
      const used = random.shuffle(ofKind(session % 2)).slice(0, 5);
      await replica.feedback(used, FeedbackKind.USED, { ...by, session: `s${session}`, role: kinds[session % 2] ?? "", project: "p" });
    }
    const first = ofKind(0).slice(0, 2);
    await replica.feedback(first, FeedbackKind.USED, { ...by, session: "new", role: "web", project: "p" });
    const helped = async (asker: object): Promise<number> => {
      const { found } = await search.find({ query: "deploy checklist of the release", limit: 8, ...asker });
      return found.filter((one) => ofKind(0).includes(one.item?.id ?? "") && !first.includes(one.item?.id ?? "")).length;
    };
    const [without, own, group] = [
      await helped({}),
      await helped({ session: "new" }),
      await helped({ session: "nobody", role: "web", project: "p" }),
    ];
    assert.ok(own > without && group >= without, `without ${without}, with its own use ${own}, with that of its role ${group}`);
    const { found } = await search.find({ query: "deploy checklist", limit: 20, session: "new" });
    for (const one of found) assert.ok(Math.abs(one.parts.find((part) => part.name === "similar users")?.value ?? 0) <= 0.25);
    assert.deepEqual(
      (await search.find({ query: "deploy", limit: 5, session: "unknown", project: "elsewhere" })).found.flatMap((one) =>
        one.parts.filter((part) => part.name === "similar users"),
      ),
      [],
    );
  });
});
