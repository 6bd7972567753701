import assert from "node:assert/strict";
import { describe, it } from "node:test";

import type { PreparedCall } from "./tools/index.ts";
import { type RepositoryTrust, untrustedSource } from "./untrusted-source.ts";

const REPOSITORY = "a repository that is not trusted";

describe("untrustedSource", () => {
  const source = (input: unknown, repository: RepositoryTrust, { name = "file:/w/a", from = "built-in", untrusted = "" } = {}): string => {
    const call = { tool: { source: from }, input, resources: [{ name, access: "read" }] } as unknown as PreparedCall;
    return untrustedSource(call, { status: "ok", output: "", ...(untrusted === "" ? {} : { untrusted }) }, repository);
  };

  it("is the repository for all that is read in one that is not trusted, and for nothing in one that is", () => {
    assert.equal(source({ path: "README.md" }, "stranger"), REPOSITORY);
    assert.equal(source({ command: "cat README.md" }, "stranger", { name: "shell:main" }), REPOSITORY);
    assert.equal(source({ thought: "hm" }, "stranger", { name: "tasks" }), "");
    assert.equal(source({ path: ".env" }, "trusted"), "");
  });

  it("is the repository in one that nothing is known of once a private file is named", () => {
    const named = [".env", "config/.env.local", "./id_rsa", "secrets.txt", "credentials.json", "tls/server.pem", ".npmrc", "a/.aws/config"];
    for (const path of named) assert.equal(source({ path }, "known"), REPOSITORY, path);
    for (const path of named) assert.equal(source({ command: `cat ${path} | head` }, "known"), REPOSITORY, path);
    const others = ["README.md", "src/secrets.ts", ".env.example", ".environment", "id_rsa.pub", "process.env", "src/credentials.ts"];
    for (const path of others) assert.equal(source({ path }, "known"), "", path);
  });

  it("is who really said it, before the repository", () => {
    assert.equal(source({}, "stranger", { untrusted: "https://a.example.com" }), "https://a.example.com");
    assert.equal(source({}, "trusted", { from: "mcp:weather" }), "mcp:weather");
  });
});
