import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";

import { create, type MessageInitShape, toJsonString } from "@bufbuild/protobuf";
import { GuildError } from "@guildhall/core";
import { settingsSchema } from "@guildhall/core/settings";
import { MemoryOperationStore, seededIds, simulatedClock } from "@guildhall/core/testing";
import { Replica } from "@guildhall/knowledge";
import {
  ConflictStrategy,
  FeedbackKind,
  KnowledgeSchema,
  KnowledgeState,
  OperationSchema,
  ScopeKind,
  ScopeSchema,
} from "@guildhall/protocol";

import { temporaryStorage, type TemporaryStorage } from "../storage/testing/temporary-storage.ts";
import { EvidenceFiles } from "./evidence-files.ts";
import { Exchanger, type Remote } from "./exchanger.ts";
import { GlobalKnowledge } from "./global.ts";
import { KnowledgeKeeper } from "./keeper.ts";

const DAY = 24 * 60 * 60 * 1_000;
const scope = create(ScopeSchema, { kind: ScopeKind.PROJECT, id: "p" });
const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };

describe("the keeper of what is known", () => {
  let storage: TemporaryStorage;
  before(async () => (storage = await temporaryStorage()));
  after(() => storage.close());

  function opened(tenant: string, remotes = "") {
    const clock = simulatedClock();
    const settings = () => settingsSchema.parse({ knowledge: { remotes } }).knowledge;
    const evidence = new EvidenceFiles(() => Promise.resolve([]));
    const knowledge = new GlobalKnowledge({
      tenant,
      store: storage.storage.knowledge,
      border: storage.storage.border,
      clock,
      ids: seededIds(5),
      settings,
      embedder: () => Promise.resolve(undefined),
      vectors: () => ({ index: () => assert.fail("nothing is embedded"), drop: () => Promise.resolve(), close: () => Promise.resolve() }),
      former: () => Promise.resolve(undefined),
      judged: () => false,
      changed: () => undefined,
      evidence,
    });
    const replica = async () => (await knowledge.open()).replica;
    const exchanger = new Exchanger({ replica, clock, journal: quiet, pauseMs: () => 60_000 });
    const keeper = new KnowledgeKeeper({
      tenant,
      knowledge,
      border: storage.storage.border,
      clock,
      journal: quiet,
      settings,
      embedder: () => Promise.resolve(undefined),
      evidence,
      exchanger,
      consolidate: () => Promise.resolve({ joined: 0, originals: 0 }),
    });
    const add = async (text: string, more: MessageInitShape<typeof KnowledgeSchema> = {}): Promise<string> => {
      const { items } = await knowledge.add([create(KnowledgeSchema, { text, scope, confidence: 0.05, ...more })], { actor: "person:p" });
      return items[0]?.id ?? "";
    };
    const state = async (id: string) => (await replica()).read(id).state;
    return { clock, knowledge, keeper, exchanger, replica, add, state };
  }

  it("sets apart what is old and worth little, for a while; what is pinned, cited or lately used stays", async () => {
    const { clock, keeper, replica, add, state } = opened("tidy");
    const plain = await add("The oldest oak stands by the gate.");
    const pinned = await add("Herons stand on one leg.", { pinned: true });
    const cited = await add("The bakery opens before sunrise.");
    const used = await add("Otters hold hands while they sleep.");
    await clock.advance(400 * DAY);
    const citing = await add(`Bread is sold out by nine, see ${cited}.`);
    await (await replica()).feedback([used], FeedbackKind.USED, { actor: "person:p" });
    assert.match((await keeper.explain(cited)).fate, /another item cites it/);
    assert.match((await keeper.explain(plain)).fate, /goes when/);
    assert.equal(await keeper.tidy(), 1);
    const { VALID, COLD } = KnowledgeState;
    assert.deepEqual(await Promise.all([plain, pinned, cited, used, citing].map(state)), [COLD, VALID, VALID, VALID, VALID]);
    await clock.advance(29 * DAY);
    assert.equal((await (await replica()).restore(plain, "person:p")).state, VALID);
    await (await replica()).forget(plain, { actor: "person:p" });
    await clock.advance(31 * DAY);
    await assert.rejects((await replica()).restore(plain, "person:p"), (error) => GuildError.is(error, "failed_precondition"));
  });

  it("keeps what no other place has got yet, however little it is worth", async () => {
    const { clock, keeper, exchanger, add, state } = opened("apart", "elsewhere:1");
    const item = await add("The ferry does not run in winter.");
    await clock.advance(400 * DAY);
    assert.equal(await keeper.tidy(), 0);
    assert.match((await keeper.explain(item)).fate, /another replica has not got it yet/);
    const options = { tenant: "t", clock, ids: seededIds(6), strategy: () => ConflictStrategy.ASK };
    const other = await Replica.open({ ...options, store: new MemoryOperationStore("other") });
    const remote: Remote = { name: "other", ask: (request) => other.exchange(request) };
    await exchanger.once(remote);
    assert.equal(await keeper.tidy(), 1);
    assert.equal(await state(item), KnowledgeState.COLD);
  });

  it("follows another place: what is written on either side comes to the other by itself, also after it was away", async () => {
    const { clock, exchanger, replica, add } = opened("follow", "elsewhere:1");
    const options = { tenant: "t", clock, ids: seededIds(7), strategy: () => ConflictStrategy.ASK };
    const other = await Replica.open({ ...options, store: new MemoryOperationStore("other") });
    const line = { cut: false };
    const remote: Remote = {
      name: "other",
      async ask(request, { waitMs, signal }) {
        if (line.cut) throw new GuildError("unavailable", "the line is cut");
        const answer = await other.exchange(request, { waitMs, ...(signal === undefined ? {} : { signal }) });
        signal?.throwIfAborted();
        return answer;
      },
    };
    const until = async (holds: () => boolean): Promise<void> => {
      while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
    };
    const here = (await replica()).ledger;
    exchanger.follow(remote);
    const first = await add("The lighthouse keeper has a cat.");
    await until(() => other.ledger.item(first) !== undefined);
    line.cut = true;
    const second = await add("The cat sleeps in the lamp room.");
    const theirs =
      (await other.add([create(KnowledgeSchema, { text: "Snow closes the pass.", scope })], { actor: "person:q" })).items[0]?.id ?? "";
    line.cut = false;
    await until(() => other.ledger.item(second) !== undefined && here.item(theirs) !== undefined);
    await exchanger.close();
  });

  it("lets nothing secret out with the reason for which something is forgotten", async () => {
    const { knowledge, replica, add } = opened("reason");
    const id = await add("The deploy token has to be renewed.");
    await knowledge.forget(id, { actor: "person:p", reason: "it was ghp_abcdefghijklmnopqrstuvwxyz0123456789 of ada@lovelace.org" });
    const { operations } = (await replica()).ledger.after({}, Infinity);
    const said = operations.map((one) => toJsonString(OperationSchema, one)).join("\n");
    assert.match(said, /it was \[secret\] of \[mail\]/);
    assert.doesNotMatch(said, /ghp_|lovelace/);
  });
});
