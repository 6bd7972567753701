import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { GuildError } from "@guildhall/core";
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

import { Replica } from "./replica.ts";
import { GlobalSearch } from "./search.ts";

const by = { actor: "person:p" };
const scope = (id: string) => create(ScopeSchema, { kind: ScopeKind.PROJECT, id });
const fact = (text: string, more: MessageInitShape<typeof KnowledgeSchema> = {}): Knowledge =>
  create(KnowledgeSchema, { text, scope: scope("p"), confidence: 0.5, ...more });

async function opened(doubt?: (knowledge: Knowledge) => Promise<boolean>) {
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
  const search = new GlobalSearch({ ledger: replica.ledger, clock, ...(doubt === undefined ? {} : { doubt }) });
  place.search = search;
  const texts = async (query: string, more = {}) => (await search.find({ query, limit: 10, ...more })).found.map((one) => one.item?.text);
  return { clock, replica, search, texts };
}

describe("search over what is known", () => {
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
