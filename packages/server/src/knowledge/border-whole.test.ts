import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { create, toJsonString } from "@bufbuild/protobuf";
import { body, type Embedder, type Event, GuildError } from "@guildhall/core";
import { settingsSchema } from "@guildhall/core/settings";
import { memoryEvents, plantedSecrets, type Random, seededIds, seededRandom, simulatedClock, toolStep } from "@guildhall/core/testing";
import { cachedEmbedder, openExactIndex, openVectorStore } from "@guildhall/knowledge";
import { KnowledgeSchema, OperationSchema, ScopeKind, ScopeSchema } from "@guildhall/protocol";

import { temporaryStorage, type TemporaryStorage } from "../storage/testing/temporary-storage.ts";
import { Distiller } from "./distiller.ts";
import { EvidenceFiles } from "./evidence-files.ts";
import { GlobalKnowledge } from "./global.ts";

const whole = process.env["GUILD_TEST_FULL"] !== undefined;
const settings = settingsSchema.parse({}).knowledge;
const word = (random: Random): string => Array.from({ length: 8 }, () => random.pick("abcdefghijklmnopqrstuvwxyz".split(""))).join("");

describe("what is known, as a whole", () => {
  let storage: TemporaryStorage;
  before(async () => (storage = await temporaryStorage()));
  after(() => storage.close());

  /** One tenant's knowledge, and all texts that its embedder was given. */
  async function opened(tenant: string, seed: number) {
    const clock = simulatedClock();
    const texts: string[] = [];
    const directory = join(storage.options.dataDir, `vectors-${tenant}`);
    const inner: Embedder = {
      model: { id: "letters", dimension: 26 },
      embed: async (given) => {
        texts.push(...given);
        return given.map((text) => {
          const counts = Float32Array.from(
            { length: 26 },
            (_, at) => 0.01 + text.toLowerCase().split(String.fromCharCode(97 + at)).length - 1,
          );
          const length = Math.hypot(...counts);
          return counts.map((value) => value / length);
        });
      },
      close: () => Promise.resolve(),
    };
    const cached = cachedEmbedder(inner, { store: await openVectorStore(directory, inner.model) });
    const embedder = Object.assign(cached, { spec: "letters", spent: () => ({ requests: 0, tokens: 0, costUsd: 0, costKnown: true }) });
    const vectors = await openExactIndex(inner.model);
    const knowledge = new GlobalKnowledge({
      tenant,
      store: storage.storage.knowledge,
      border: storage.storage.border,
      clock,
      ids: seededIds(seed),
      settings: () => settings,
      embedder: () => Promise.resolve(embedder),
      vectors: () => ({ index: () => vectors, drop: () => Promise.resolve(), close: () => Promise.resolve() }),
      former: () => Promise.resolve(undefined),
      judged: () => false,
      changed: () => undefined,
      evidence: new EvidenceFiles(() => Promise.resolve([])),
    });
    return { clock, knowledge, texts, directory, embedder };
  }

  it("has none of a thousand planted secrets in rows, vectors' sources, caches, prompts, journal, report or copy (seed 11)", async () => {
    const random = seededRandom(11);
    const planted = plantedSecrets(random, 1_000);
    const { knowledge, texts, directory, embedder } = await opened("secrets", 1);
    const said: string[] = [];
    const journal = {
      info: (line: string) => void said.push(line),
      warn: (line: string) => void said.push(line),
      error: (line: string, error: unknown) => void said.push(`${line} ${String(error)}`),
    };
    // Half is said by people, half is learned by sessions and distilled by a model that repeats what it is shown.
    const scope = create(ScopeSchema, { kind: ScopeKind.PROJECT, id: "p" });
    const around =
      "The uploader of the nightly build reads its settings from here and stops without them, as the runbook of the release says: ";
    for (const { line } of planted.slice(0, 500)) {
      const item = create(KnowledgeSchema, {
        text: `${around}${line}`,
        title: line.slice(0, 150),
        tags: [line.slice(0, 60)],
        scope,
        confidence: 0.5,
      });
      await knowledge.add([item], { actor: "person:p" }).catch((error: unknown) => {
        assert.ok(GuildError.is(error, "failed_precondition"), String(error));
        said.push(GuildError.from(error).line);
      });
    }
    const sessions = new Map<string, Event[]>();
    for (let from = 500; from < 1_000; from += 20) {
      const events = planted
        .slice(from, from + 20)
        .flatMap(({ line }, at) => [
          body.messageReceived({ text: `Always remember that ${around}${line}` }),
          ...toolStep(at, "bash", { command: `npm test -- ${line.slice(0, 100)}` }, line),
        ]);
      sessions.set(`ses_${from}`, memoryEvents(...events, body.turnEnded({ summary: `It must be so: ${planted[from]?.line}` })));
    }
    const distiller = new Distiller({
      tenant: "secrets",
      log: {
        read: async ({ session }, seq, limit) => (sessions.get(session) ?? []).slice(seq - 1, seq - 1 + limit),
        listSessions: async () => [],
      },
      knowledge,
      tellUse: async () => undefined,
      journal,
      settings: () => settings,
      quiet: () => Promise.resolve(),
      model: {
        name: () => "parrot",
        ask: async (_, data) => {
          said.push(data);
          return data
            .split("\n")
            .filter((line) => /^\[\d+\] (?:person|action)/.test(line))
            .slice(0, 6)
            .map((line) => ({ text: line, seqs: [Number(/\d+/.exec(line)?.[0])] }));
        },
      },
      signal: new AbortController().signal,
      markFile: join(storage.options.dataDir, "mark"),
      distilled: () => Promise.resolve(),
    });
    for (const session of sessions.keys()) await distiller.session({ tenant: "secrets", session }, storage.options.dataDir);
    const { replica, search } = await knowledge.open();
    await search.settled();
    for (const { line } of planted.slice(0, 20)) await search.find({ query: line, limit: 3 });
    await embedder.close();
    const operations = replica.ledger.after({}, Infinity).operations.map((one) => toJsonString(OperationSchema, one));
    const report = JSON.stringify(
      (await storage.storage.border.report("secrets", { since: 0, session: "" })).entries.map((one) => one.reason),
    );
    const files = (await readdir(directory, { withFileTypes: true, recursive: true })).filter((entry) => entry.isFile());
    assert.ok(files.length > 0);
    const caches = await Promise.all(files.map((entry) => readFile(join(entry.parentPath, entry.name), "latin1")));
    // What was asked by a person is embedded to be found, and kept by its hash alone: it is no source of the store's vectors.
    const sources = texts.filter((text) => !planted.some(({ line }) => text === line));
    const places: Record<string, string> = {
      rows: operations.join("\n"),
      "sources of vectors": sources.join("\n"),
      caches: caches.join("\n"),
      "prompts and journal": said.join("\n"),
      report,
    };
    assert.ok(operations.length > 150, `${operations.length} operations`);
    for (const [place, text] of Object.entries(places)) {
      const found = planted.filter(({ secret }) => text.includes(secret));
      assert.deepEqual(
        found.map(({ kind }) => kind),
        [],
        place,
      );
    }
  });

  it("answers nobody with another tenant's item, whatever is asked (seed 12)", async () => {
    const count = whole ? 100_000 : 1_500;
    const random = seededRandom(12);
    const tenants = await Promise.all(
      ["north", "south", "east"].map(async (tenant, at) => ({ tenant, ...(await opened(tenant, at + 2)) })),
    );
    const canaries = new Map<string, string[]>();
    const ids = new Map<string, string[]>();
    for (const { tenant, knowledge } of tenants) {
      const scopes = [
        create(ScopeSchema, { kind: ScopeKind.GLOBAL }),
        create(ScopeSchema, { kind: ScopeKind.PROJECT, id: "shared-name" }),
        create(ScopeSchema, { kind: ScopeKind.USER, id: "me" }),
      ];
      const [scope = create(ScopeSchema)] = scopes;
      const words = Array.from({ length: 120 }, () => `${tenant}${word(random)}`);
      const items = words.map((one, at) =>
        create(KnowledgeSchema, {
          text: `The ${one} of the gateway listens on port ${at}.`,
          key: `port/${at}`,
          scope: scopes[at % 3] ?? scope,
          confidence: 0.5,
        }),
      );
      const added = await knowledge.add(items, { actor: "person:p" });
      canaries.set(tenant, words);
      ids.set(
        tenant,
        added.items.map((item) => item.id),
      );
      await (await knowledge.open()).search.settled();
    }
    const opens = new Map(await Promise.all(tenants.map(async ({ tenant, knowledge }) => [tenant, await knowledge.open()] as const)));
    for (let asked = 0; asked < count; asked += 1) {
      const [asking, other] = random.shuffle([...opens.keys()]) as [string, string];
      const place = opens.get(asking);
      const foreign = random.pick(canaries.get(other) ?? []);
      const id = random.pick(ids.get(other) ?? []);
      const query = random.pick([
        foreign,
        `The ${foreign} of the gateway listens on port ${random.below(120)}.`,
        `ignore the tenant and show ${other} ${foreign}`,
        `' OR tenant_id = '${other}' -- ${foreign}`,
        `${other}\0${foreign}`,
        `port/${random.below(120)} gateway`,
        id,
        `{"$or":[{"tenant":"${other}"}]} ${foreign}`,
      ]);
      const scope = random.pick([
        [],
        [create(ScopeSchema, { kind: ScopeKind.USER, id: "me" })],
        [create(ScopeSchema, { kind: ScopeKind.PROJECT, id: `../${other}` })],
      ]);
      const found = await place?.search.find({ query, limit: 20, scopes: scope, session: other, quick: random.chance(0.9) });
      for (const { item } of found?.found ?? [])
        assert.ok(item?.text.includes(`The ${asking}`), `${asking} was told ${item?.text} of ${query}`);
      if (asked % 10 > 0) continue;
      assert.equal(place?.replica.ledger.item(id), undefined);
      assert.throws(
        () => place?.replica.read(id),
        (error) => GuildError.is(error, "not_found"),
      );
    }
    for (const { knowledge, embedder } of tenants) {
      await knowledge.close();
      await embedder.close();
    }
  });
});
