import assert from "node:assert/strict";
import { test } from "node:test";

import { GuildError } from "../errors.ts";
import { seededRandom } from "../testing/random.ts";
import { approvalsUnder, effectivePolicy, isToolAllowed } from "./effective-policy.ts";
import { isNetworkOpen } from "./network-rule.ts";
import type { PolicyFile } from "./policy-schema.ts";
import { readPolicy } from "./read-policy.ts";

const operator = (text: string) => ({ name: "policy.toml", policy: readPolicy(text, "policy.toml", "operator") });
const project = (text: string) => ({ name: "project", policy: readPolicy(text, ".guildhall/policy.toml", "project") });

test("without files, and with an empty one, nothing leaves and risky actions are asked about", () => {
  for (const policy of [effectivePolicy(undefined), effectivePolicy(operator(""))]) {
    assert.equal(isNetworkOpen(policy.network), false);
    assert.equal(approvalsUnder(policy, undefined), "risky");
    assert.equal(isToolAllowed(policy, "bash"), true);
    assert.deepEqual([policy.readOnly, policy.secrets.grants], [[], []]);
  }
});

test("a project opens nothing by itself", () => {
  const wide = project('[network]\npresets = ["npm"]\n[[network.rules]]\nhost = "example.com"');
  assert.equal(isNetworkOpen(effectivePolicy(undefined, [wide]).network), false);
  assert.equal(isNetworkOpen(effectivePolicy(operator(""), [wide]).network), false);
});

test("what a project permits is a further condition, what it refuses holds", () => {
  const open = operator('[[network.rules]]\nhost = "*.example.com"\n[network.limits]\nconcurrent = 5\nmegabytes = 1.5');
  const narrowed = effectivePolicy(open, [
    project(
      '[[network.rules]]\nhost = "a.example.com"\n[[network.rules]]\nhost = "b.example.com"\nrefuse = true\n[network.limits]\nconcurrent = 9',
    ),
  ]);
  assert.deepEqual(
    narrowed.network.layers.map((layer) => layer.map((rule) => `${rule.refuse === true ? "-" : "+"}${rule.host}`)),
    [["+*.example.com", "-b.example.com"], ["+a.example.com"]],
  );
  assert.deepEqual(narrowed.network.limits, { concurrent: 5, bytes: 1_500_000 });
  assert.deepEqual(effectivePolicy(open, [project("[network]\nenabled = false")]).network.layers, []);
});

test("the strictest approvals hold, whatever a session asks for", () => {
  const policy = effectivePolicy(operator('[approvals]\npolicy = "risky"'), [project('[approvals]\npolicy = "always"')]);
  assert.equal(approvalsUnder(policy, "never"), "always");
  assert.equal(approvalsUnder(effectivePolicy(operator('[approvals]\npolicy = "never"')), undefined), "never");
  assert.equal(approvalsUnder(effectivePolicy(operator('[approvals]\npolicy = "never"')), "always"), "always");
  assert.equal(approvalsUnder(effectivePolicy(undefined), "never"), "never");
});

test("tools and secrets: what all files offer, without what any denies", () => {
  const policy = effectivePolicy(operator('[tools]\nonly = ["bash", "edit"]\n[secrets]\nonly = ["A", "B"]'), [
    project('[tools]\nonly = ["edit", "search"]\ndeny = ["think"]\n[secrets]\nonly = ["B", "C"]'),
  ]);
  assert.deepEqual(
    ["bash", "edit", "search", "think", "finish"].filter((tool) => isToolAllowed(policy, tool)),
    ["edit", "finish"],
  );
  assert.deepEqual(policy.secrets.only, ["B"]);
});

test("no project's file allows what is not allowed without it", () => {
  const random = seededRandom(Number(process.env["SEED"] ?? Date.now() % 1_000_000));
  const hosts = ["a.test", "b.test", "*.test"];
  const some = (): string => {
    const rules = Array.from({ length: random.below(4) }, () => {
      const refuse = random.chance(0.3) ? "\nrefuse = true" : "";
      return `[[network.rules]]\nhost = "${random.pick(hosts)}"${refuse}`;
    });
    const approvals = random.chance(0.5) ? `[approvals]\npolicy = "${random.pick(["never", "risky", "always"])}"\n` : "";
    const tools = random.chance(0.5) ? `[tools]\nonly = ["${random.pick(["bash", "edit"])}"]\n` : "";
    return `${approvals}${tools}[network]\nenabled = ${!random.chance(0.1)}\n${rules.join("\n")}\n`;
  };
  const strictness = ["never", "risky", "always"];
  for (let round = 0; round < 500; round += 1) {
    const [own, other] = [some(), some()];
    const [before, after] = [effectivePolicy(operator(own)), effectivePolicy(operator(own), [project(other)])];
    const told = `seed ${random.seed}: ${JSON.stringify({ own, other })}`;
    for (const host of ["a.test", "b.test"]) assert.ok(!lets(after, host) || lets(before, host), told);
    for (const tool of ["bash", "edit"]) assert.ok(!isToolAllowed(after, tool) || isToolAllowed(before, tool), told);
    const asked = (policy: typeof before) => strictness.indexOf(approvalsUnder(policy, "never"));
    assert.ok(asked(after) >= asked(before), told);
  }
});

function lets(policy: ReturnType<typeof effectivePolicy>, host: string): boolean {
  const { layers } = policy.network;
  const matches = (pattern: string) => pattern === host || pattern === "*.test";
  return (
    layers.length > 0 &&
    layers.every((layer) => {
      const matching = layer.filter((rule) => matches(rule.host));
      return matching.length > 0 && matching.every((rule) => rule.refuse !== true);
    })
  );
}

for (const [text, message] of [
  ["[network\n", /line 1: no valid TOML/],
  ["[netwrk]\n", /netwrk: there is no such key/],
  ['[[network.rules]]\nhost = "10.0.0.1"\n', /network\.rules\[0\]\.host: .*addresses are never reached/],
  ['[[network.rules]]\nhost = "a.test"\nmethod = ["GET"]\n', /network\.rules\[0\]\.method: there is no such key/],
  ['[network]\npresets = ["npn"]\n', /network\.presets\[0\]: /],
  ['[approvals]\npolicy = "sometimes"\n', /approvals\.policy: /],
] as const) {
  test(`a wrong file is refused in one line: ${JSON.stringify(text)}`, () => {
    for (const owner of ["operator", "project"] as const) {
      assert.throws(
        () => readPolicy(text, "/p/policy.toml", owner),
        (error) =>
          GuildError.is(error, "invalid_argument") &&
          message.test(error.line) &&
          error.line.includes("/p/policy.toml") &&
          !error.line.includes("\n"),
      );
    }
  });
}

test("a project's file grants no secrets", () => {
  const text = '[[secrets.grants]]\nsecret = "TOKEN"\nhost = "evil.test"\n';
  assert.throws(() => readPolicy(text, "f", "project"), /cannot grant secrets/);
  const policy: PolicyFile = readPolicy(text, "f", "operator");
  assert.equal(effectivePolicy({ name: "policy.toml", policy }).secrets.grants.length, 1);
});
