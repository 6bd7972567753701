import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { after, before, describe, it } from "node:test";

import { verifies } from "../verifies.ts";

const suite = join(dirname(createRequire(import.meta.url).resolve("@modelcontextprotocol/conformance/package.json")), "dist/index.js");
const full = process.env["GUILD_TEST_FULL"] !== undefined;

/** Scenarios of the suite for clients. Those of the sample run in every gate. */
const SAMPLE = ["initialize", "tools_call", "elicitation-sep1034-client-defaults", "sse-retry", "auth/scope-step-up"];
const REST = [
  "auth/metadata-default",
  "auth/metadata-var1",
  "auth/metadata-var2",
  "auth/metadata-var3",
  "auth/basic-cimd",
  "auth/scope-from-www-authenticate",
  "auth/scope-from-scopes-supported",
  "auth/scope-omitted-when-undefined",
  "auth/scope-retry-limit",
  "auth/token-endpoint-auth-basic",
  "auth/token-endpoint-auth-post",
  "auth/token-endpoint-auth-none",
  "auth/pre-registration",
  "auth/2025-03-26-oauth-endpoint-fallback",
  "auth/resource-mismatch",
  "auth/offline-access-scope",
  "auth/offline-access-not-supported",
  "auth/client-credentials-jwt",
  "auth/client-credentials-basic",
];
// Not among them: auth/2025-03-26-oauth-metadata-backcompat, whose authorization server names another issuer than its own address, which our
// client refuses (RFC 8414, 3.3: who takes it can be sent to another server with his credentials); auth/cross-app-access-complete-flow, an
// extension by which an enterprise's identity provider signs people in for each other's programs.

/** Scenarios for servers, all in one process in the whole run, each in its own in the sample. */
const SERVER_SAMPLE = ["tools-call-with-progress", "tools-call-elicitation", "server-sse-multiple-streams", "dns-rebinding-protection"];
async function conformance(args: string[]): Promise<{ code: number | null; said: string }> {
  const child = spawn(process.execPath, [suite, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const [said, errors, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "close")]);
  return { code: code as number | null, said: said + errors };
}

describe("the conformance suite of the Model Context Protocol", () => {
  for (const scenario of full ? [...SAMPLE, ...REST] : SAMPLE) {
    it(`passes our client: ${scenario}`, async () => {
      verifies("D4");
      const command = `${process.execPath} ${join(import.meta.dirname, "conformance-client.ts")}`;
      const { code, said } = await conformance(["client", "--command", command, "--scenario", scenario, "--timeout", "120000"]);
      assert.equal(code, 0, said);
      assert.match(said, /OVERALL: PASSED/);
    });
  }

  describe("passes our server", () => {
    const server = spawn(process.execPath, [join(import.meta.dirname, "conformance-server.ts")], { stdio: ["pipe", "pipe", "inherit"] });
    let url = "";
    before(async () => {
      const [line] = (await once(server.stdout, "data")) as [Buffer];
      url = line.toString().trim();
    });
    after(async () => {
      server.stdin.end();
      await once(server, "close");
    });

    for (const scenario of SERVER_SAMPLE) {
      it(scenario, async () => {
        verifies("D4");
        const { code, said } = await conformance(["server", "--url", url, "--scenario", scenario]);
        assert.equal(code, 0, said);
        assert.match(said, /Passed: (\d+)\/\1, 0 failed/, said);
      });
    }

    it("every scenario in one go, whose client keeps its connections", { timeout: 300_000 }, async () => {
      verifies("D4", "D5");
      const { code, said } = await conformance(["server", "--url", url, "--suite", "all"]);
      assert.equal(code, 0, said);
      assert.match(said, /Total: \d+ passed, 0 failed/);
    });
  });
});
