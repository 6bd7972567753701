import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";

import { GuildError } from "@guildhall/core";

import { GrantStore } from "./grants.ts";
import { openSecretStore } from "./open-store.ts";
import { makePlaceholders } from "./placeholders.ts";

function folder(test: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "guild-secrets-"));
  test.after(() => rmSync(path, { recursive: true }));
  return path;
}

describe("grants", () => {
  it("hold for the project and the session that they name, and outlive the process", (test) => {
    const file = join(folder(test), "grants.json");
    const store = new GrantStore(file);
    const general = store.add({ secret: "A", host: "a.example.com" });
    store.add({ secret: "B", host: "*.example.com", project: "/p", methods: ["GET"], paths: ["/x*"] });
    store.add({ secret: "C", host: "c.example.com", session: "ses_1" });
    const again = new GrantStore(file);
    const names = (workspace: string, session?: string) => again.for(workspace, session).map(({ secret }) => secret);
    assert.deepEqual([names("/p"), names("/q"), names("/q", "ses_1")], [["A", "B"], ["A"], ["A", "C"]]);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.equal(again.add({ secret: "A", host: "a.example.com" }).id, general.id, "the same grant is one");
    assert.deepEqual([again.revoke("B", "grt_none"), again.revoke("B", ""), again.revoke("B", "")], [0, 1, 0]);
    assert.deepEqual(
      new GrantStore(file).list().map(({ secret }) => secret),
      ["A", "C"],
    );
  });

  it("name hosts, methods and paths that can be", (test) => {
    const store = new GrantStore(join(folder(test), "grants.json"));
    for (const wrong of [
      { host: "10.0.0.1" },
      { host: "A.test" },
      { host: "a.test", methods: ["get"] },
      { host: "a.test", paths: ["x"] },
      { host: "a.test", env: "A B" },
    ]) {
      assert.throws(
        () => store.add({ secret: "A", ...wrong }),
        (error) => GuildError.is(error, "invalid_argument"),
        JSON.stringify(wrong),
      );
    }
    assert.equal(store.list().length, 0);
  });
});

describe("placeholders", () => {
  const rules = [
    { secret: "npm.token", host: "registry.example.com" },
    { secret: "T", host: "a.example.com", env: "OTHER" },
    { secret: "T", host: "b.example.com" },
  ];

  it("are one a secret, kept when grants change, and another for each sandbox", () => {
    const known = new Map<string, string>();
    const first = makePlaceholders(rules, known);
    assert.equal(first.env["OTHER"], first.env["T"]);
    assert.match(first.env["NPM_TOKEN"] ?? "", /^guildhall-secret-[0-9a-f]{24}$/);
    assert.equal(makePlaceholders(rules.slice(1), known).env["T"], first.env["T"]);
    assert.notEqual(makePlaceholders(rules, new Map()).env["T"], first.env["T"]);
  });

  it("are what git is answered with, for the granted hosts alone", () => {
    const { env } = makePlaceholders(rules, new Map());
    const ask = (host: string): string =>
      execFileSync("git", ["-c", "core.askPass=true", "credential", "fill"], {
        input: `protocol=https\nhost=${host}\n\n`,
        encoding: "utf8",
        env: { PATH: process.env["PATH"], GIT_TERMINAL_PROMPT: "0", GIT_CONFIG_NOSYSTEM: "1", HOME: "/nonexistent", ...env },
      });
    assert.match(ask("a.example.com"), new RegExp(`username=x-access-token\\npassword=${env["T"]}`));
    assert.ok(!ask("c.example.com").includes("guildhall"));
  });
});

describe("the secret store of the settings", () => {
  const settings = { store: "file", vault_address: "", vault_mount: "secret", vault_path: "guildhall" } as const;

  it("is an encrypted file whose key lies elsewhere", async (test) => {
    const [config, data] = [folder(test), folder(test)];
    const store = await openSecretStore({ settings, paths: { config, data }, env: {} });
    await store.set("T", "a value");
    assert.ok(!readFileSync(join(data, "secrets.json"), "utf8").includes("a value"));
    assert.equal(statSync(join(config, "secrets.key")).size, 32);
  });

  it("can be the environment, by prefix", async () => {
    const env = { GUILD_SECRET_T: "value", HOME: "/root" };
    const store = await openSecretStore({ settings: { ...settings, store: "environment" }, paths: { config: "", data: "" }, env });
    assert.deepEqual([await store.names(), await store.get("T"), await store.get("HOME")], [["T"], "value", undefined]);
  });

  it("says what a vault needs", async () => {
    const open = openSecretStore({ settings: { ...settings, store: "vault" }, paths: { config: "", data: "" }, env: {} });
    await assert.rejects(open, (error) => GuildError.is(error, "failed_precondition") && error.line.includes("(secrets.vault_address)"));
  });
});
