import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { type Random, seededRandom } from "@guildhall/core/testing";
import { Ledger, readOperations } from "@guildhall/knowledge";
import { KnowledgeState } from "@guildhall/protocol";

import { Cable } from "../services/cable.ts";
import { pause, pidOf, type Service, ServiceSystem } from "../services/system.ts";
import { verifies } from "../verifies.ts";

const full = process.env["GUILD_TEST_FULL"] !== undefined;
const { sessions, operations, spokes } = full ? { sessions: 32, operations: 1_000, spokes: 3 } : { sessions: 3, operations: 40, spokes: 1 };
const seed = Number(process.env["GUILD_TEST_SEED"] ?? 7);

const CONSONANTS = "bcdfghklmnprstvz".split("");
const VOWELS = "aeiou".split("");

/** One Guildhall with a knowledge service of its own, behind a line of its own. */
interface Place {
  name: string;
  service: Service;
  /** Undefined: everybody's middle. */
  cable?: Cable;
}

interface Item {
  id: string;
  text: string;
  forgotten: boolean;
}

describe("sessions that learn in several places, which lose each other and are killed", () => {
  const system = new ServiceSystem();
  const places: Place[] = [];
  const env = {
    GUILD_KNOWLEDGE_VECTORS: "memory",
    // By words alone: this is about what is known, not about how it is found.
    GUILD_KNOWLEDGE_EMBEDDER: "anthropic/none",
    GUILD_KNOWLEDGE_CONFLICTS: "newest",
  };
  const open = (name: string, remote: string, port?: number) =>
    system.start(name, ["knowledge"], {
      ...(port === undefined ? {} : { port }),
      env: { ...env, GUILD_KNOWLEDGE_REMOTES: remote, GUILD_KNOWLEDGE_REMOTE_TOKEN: system.token },
    });
  before(async () => {
    const middle = await open("middle", "");
    places.push({ name: "middle", service: middle });
    for (let at = 1; at <= spokes; at += 1) {
      const cable = await Cable.to(middle.port);
      const name = `place-${at}`;
      places.push({ name, cable, service: await open(name, cable.address) });
    }
  });
  after(async () => {
    for (const { cable } of places) await cable?.close();
    await system.close();
  });

  /** Asks until there is an answer: undefined for what is refused. An operation that is sent again has an id. */
  const ask = async (place: Place, method: string, request: unknown): Promise<Record<string, unknown> | undefined> => {
    for (;;) {
      try {
        const response = await fetch(`http://${place.service.address}/guildhall.v1.KnowledgeService/${method}`, {
          method: "POST",
          headers: { "content-type": "application/json", "connect-protocol-version": "1", authorization: `Bearer ${system.token}` },
          body: JSON.stringify(request),
          signal: AbortSignal.timeout(60_000),
        });
        const answer = (await response.json()) as Record<string, unknown>;
        if (response.ok) return answer;
        if (answer["code"] === "failed_precondition") return undefined;
        assert.ok(["unavailable", "deadline_exceeded", "internal"].includes(String(answer["code"])), JSON.stringify(answer));
      } catch (error) {
        // It was killed under the call.
        if (error instanceof assert.AssertionError) throw error;
      }
      await pause(50);
    }
  };

  const sentence = (random: Random): string =>
    Array.from({ length: 9 }, () => Array.from({ length: 6 }, () => random.pick(CONSONANTS) + random.pick(VOWELS)).join("")).join(" ");
  const scope = { kind: "SCOPE_KIND_GLOBAL" };
  const written = async (place: Place, operationId: string, text: string, id = ""): Promise<string | undefined> => {
    const answer = await ask(place, "AddKnowledge", { operationId, items: [{ id, text, scope, confidence: 0.5 }] });
    return (answer?.["items"] as Array<{ id: string }> | undefined)?.[0]?.id;
  };

  /** What one session does; what it knows of its own items at the end. */
  async function session(name: string, place: Place, random: Random, common: readonly string[]): Promise<Item[]> {
    const items: Item[] = [];
    for (let at = 0; at < operations; at += 1) {
      const act = random.below(20);
      const text = sentence(random);
      const item = items.length === 0 ? undefined : random.pick(items);
      const operation = `${name}/${at}`;
      if (item === undefined || act < 8) {
        const id = await written(place, operation, text);
        assert.ok(id !== undefined);
        items.push({ id, text, forgotten: false });
      } else if (act < 12) {
        if (item.forgotten) continue;
        assert.equal(await written(place, operation, text, item.id), item.id);
        item.text = text;
      } else if (act < 14) {
        await ask(place, "ForgetKnowledge", { id: item.id });
        item.forgotten = true;
      } else if (act < 15) {
        await ask(place, "RestoreKnowledge", { id: item.id });
        item.forgotten = false;
      } else if (act < 17) await ask(place, "GiveFeedback", { ids: [item.id], kind: "FEEDBACK_KIND_USED", sessionId: name });
      else if (act < 18) {
        const found = (await ask(place, "SearchKnowledge", { query: item.text, limit: 3 }))?.["found"] as
          | Array<{ item: { id: string } }>
          | undefined;
        assert.equal(
          (found ?? []).some((one) => one.item.id === item.id),
          !item.forgotten,
          `${name}: ${item.id} is found where it was written`,
        );
      } else await written(place, operation, text, random.pick(common));
    }
    return items;
  }

  const kill = async (place: Place, withDatabase: boolean): Promise<void> => {
    const { port } = place.service;
    if (withDatabase) {
      const file = join(system.home.directory, place.name, "data/postgres/postmaster.pid");
      process.kill(Number(readFileSync(file, "utf8").split("\n")[0]), "SIGKILL");
    }
    process.kill(pidOf(place.service), "SIGKILL");
    await place.service.ended;
    place.service = await open(place.name, place.cable?.address ?? "", port);
  };

  /** Cuts, tears and kills until it is told that all is done; then everything is whole. */
  async function trouble(random: Random, over: () => boolean): Promise<{ kills: number; cuts: number }> {
    const least = full ? 10 : 1;
    let [kills, cuts] = [0, 0];
    while (!over() || kills < least || cuts < least) {
      const place = random.pick(places);
      if (random.chance(0.4)) {
        await kill(place, random.chance(0.3));
        kills += 1;
      } else if (place.cable !== undefined) {
        place.cable.cut = random.pick(["both", "up", "down"] as const);
        cuts += 1;
      }
      await pause(300 + random.below(700));
      if (random.chance(0.5)) for (const { cable } of places) if (random.chance(0.5)) cable?.mend();
      if (random.chance(0.2)) random.pick(places).cable?.tear();
    }
    return { kills, cuts };
  }

  /** What is said to be known already, so that no operations are sent to who only asks for positions: all, of each replica that there is. */
  const everything: Record<string, string> = {};
  /** Highest positions that a place knows. */
  const vector = async (place: Place): Promise<string> => {
    for (;;) {
      const answer = (await ask(place, "ExchangeOperations", { replica: "observer", known: everything })) ?? {};
      const positions = Object.entries((answer["known"] ?? {}) as Record<string, string>);
      if (answer["operations"] === undefined)
        return positions
          .map(([replica, at]) => `${replica} ${at}`)
          .toSorted()
          .join(", ");
      for (const [replica] of positions) everything[replica] = String(2 ** 40);
    }
  };

  const ledger = async (place: Place): Promise<Ledger> => {
    const { address } = place.service;
    async function* chunks(): AsyncGenerator<Uint8Array> {
      for await (const { chunk } of system.stream("KnowledgeService/ExportKnowledge", {}, { address }))
        yield Buffer.from(String(chunk), "base64");
    }
    const known = new Ledger();
    known.apply(await readOperations(chunks()));
    return known;
  };

  it(`lose nothing and raise nothing, and know the same when all is healed (${sessions} sessions of ${operations}, seed ${seed})`, async (t) => {
    verifies("C9");
    const random = seededRandom(seed);
    const [middle] = places;
    assert.ok(middle !== undefined);
    const common: string[] = [];
    for (let at = 0; at < 5; at += 1) common.push((await written(middle, `common/${at}`, sentence(random))) ?? "");
    const all = await Promise.all(places.map(vector));
    while (new Set(all).size > 1) {
      await pause(100);
      all.splice(0, all.length, ...(await Promise.all(places.map(vector))));
    }

    let over = false;
    const faults = trouble(random.fork(), () => over);
    const began = performance.now();
    const learned = await Promise.all(
      Array.from({ length: sessions }, (_, at) => session(`s${at}`, places[at % places.length] ?? middle, random.fork(), common)),
    );
    over = true;
    const { kills, cuts } = await faults;
    t.diagnostic(
      `${sessions * operations} operations in ${Math.round((performance.now() - began) / 1_000)} s, ${kills} killed, ${cuts} cut`,
    );

    for (const { cable } of places) cable?.mend();
    const healed = performance.now();
    let vectors = await Promise.all(places.map(vector));
    while (new Set(vectors).size > 1) {
      await pause(50);
      vectors = await Promise.all(places.map(vector));
    }
    t.diagnostic(`the same everywhere ${Math.round(performance.now() - healed)} ms after healing`);

    const ledgers = await Promise.all(places.map(ledger));
    const state = (known: Ledger) =>
      [...known.items()]
        .map(({ id, uses }) => [id, known.read(id)?.version, known.read(id)?.state, known.read(id)?.text, uses.length])
        .toSorted(([x], [y]) => (String(x) < String(y) ? -1 : 1));
    const [first, ...others] = ledgers.map(state);
    for (const [at, other] of others.entries()) assert.deepEqual(other, first, `${places[at + 1]?.name} knows something else`);
    const [known] = ledgers;
    const items = learned.flat();
    for (const { id, text, forgotten } of items) {
      const found = known?.read(id);
      assert.ok(found !== undefined, `${id} was lost`);
      assert.equal(found.text, text);
      assert.equal(found.state, forgotten ? KnowledgeState.FORGOTTEN : KnowledgeState.VALID, `${id}: ${text}`);
    }
    assert.equal(known?.size, items.length + common.length, "nothing twice");
    t.diagnostic(`${items.length} items, ${known?.operations} operations in each of ${places.length} places`);
    // The services say so too, not their rows alone.
    for (const place of places) {
      for (const { id, text } of random.shuffle(items).slice(0, 50))
        assert.equal(((await ask(place, "GetKnowledge", { id }))?.["item"] as { text: string } | undefined)?.text, text);
    }
  });
});
