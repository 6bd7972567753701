import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { createSecretScanner } from "@guildhall/core/secret-scan";
import { seededRandom } from "@guildhall/core/testing";
import { KnowledgeSchema, ScopeKind, ScopeSchema } from "@guildhall/protocol";

import { cross, noisyCount } from "./border.ts";
import { findPersonalData } from "./personal-data.ts";

const options = { scanner: createSecretScanner(), names: ["Ada Lovelace"] };
const at = (kind: ScopeKind, text: string, more: MessageInitShape<typeof KnowledgeSchema> = {}) =>
  cross(create(KnowledgeSchema, { text, scope: create(ScopeSchema, { kind, id: "p" }), author: "session:s", ...more }), "p", options);
const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789".split("");

describe("the border between a session and what is shared", () => {
  it("takes personal data out, and leaves what only looks like it", () => {
    const person = at(
      ScopeKind.PROJECT,
      "Ask Ada Lovelace (ada@lovelace.org, +44 20 7946 0958) at 12 St James Square about IBAN DE89 3704 0044 0532 0130 00; tests need the staging database, take four minutes in all, run best one after another, and leave their logs in the folder of the build until the next one begins.",
    );
    assert.equal(person.outcome, "redacted");
    assert.deepEqual([...person.reasons.keys()].toSorted(), [
      "person:address",
      "person:iban",
      "person:mail",
      "person:name",
      "person:phone",
    ]);
    assert.doesNotMatch(person.item?.text ?? "", /Ada|lovelace|7946|Square|3704/);
    const plain = [
      "The staging database listens on port 6543 at 10.0.0.12:8080.",
      "Version 1.24.0-rc.1 was built on 2026-11-22T17:35:53Z as 4f2a9c1e.",
      "Run git clone git@host:team/project.git and 0 9 * * 1-5 in cron.",
      "Retry after 30000 ms, at most 5 times; exit code 137 means out of memory.",
      "The checksum is 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08.",
      "See section 12.4.1.2 and issue 1234567890 for user@example.com.",
    ];
    for (const text of plain) assert.deepEqual(findPersonalData(text), [], text);
    assert.equal(at(ScopeKind.USER, "Mail ada@lovelace.org.").outcome, "passed", "it stays with the person");
  });

  it("lets no planted secret through, in text, titles or evidence, and takes little else (seed 3)", () => {
    const random = seededRandom(3);
    const secret = (length: number) => Array.from({ length }, () => random.pick(letters)).join("");
    let through = 0;
    for (let round = 0; round < 1_000; round += 1) {
      const value = secret(36);
      const [planted, form] = random.pick([
        [`ghp_${value}`, (one: string) => `I used the token ${one} to push the branch, and it worked at once.`],
        [
          `AKIA${secret(16).toUpperCase()}`,
          (one: string) => `The deploy runs with AWS_ACCESS_KEY_ID=${one} in the environment of the runner.`,
        ],
        [value, (one: string) => `The service needs api_key: "${one}" in its configuration, or it answers with status 401.`],
        [value, (one: string) => `Call it with the header Authorization: Bearer ${one} and the staging host name.`],
        [value, (one: string) => `The database is at postgres://app:${one}@db.internal:5432/app in the staging cluster.`],
      ] as const);
      const text = form(planted);
      const { item } = at(ScopeKind.PROJECT, text, {
        title: text.slice(0, 200),
        evidence: [{ kind: { case: "command", value: { command: text } } }],
      });
      const left = JSON.stringify(item ?? {}, (_, one: unknown) => (typeof one === "bigint" ? String(one) : one));
      if (left.includes(planted)) through += 1;
    }
    assert.equal(through, 0);
  });

  it("keeps what too few sessions learned in its project; a person may say otherwise", () => {
    const evidence = (count: number) =>
      Array.from({ length: count }, (_, session) => ({
        kind: { case: "events" as const, value: { sessionId: `s${session}`, seqs: [1] } },
      }));
    const few = at(ScopeKind.GLOBAL, "Otters hold hands.", { evidence: evidence(2) });
    assert.deepEqual([few.item?.scope?.kind, few.reasons.get("too few sessions")], [ScopeKind.PROJECT, 1]);
    assert.equal(at(ScopeKind.GLOBAL, "Otters hold hands.", { evidence: evidence(3) }).item?.scope?.kind, ScopeKind.GLOBAL);
    assert.equal(at(ScopeKind.GLOBAL, "Otters hold hands.", { author: "person:p" }).item?.scope?.kind, ScopeKind.GLOBAL);
    assert.equal(at(ScopeKind.PROJECT, `token ghp_${"a1B2".repeat(9)}`).outcome, "held back", "nothing is left of it");
  });

  it("adds noise to counts, the same each time", () => {
    const shown = Array.from({ length: 400 }, (_, one) => noisyCount(20, `item ${one}`));
    assert.ok(new Set(shown).size > 3);
    assert.ok(Math.abs(shown.reduce((sum, one) => sum + one, 0) / shown.length - 20) < 1);
    assert.equal(noisyCount(20, "a"), noisyCount(20, "a"));
    assert.ok(shown.every((one) => one >= 0));
  });
});
