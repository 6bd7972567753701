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
];
// Not among them: auth/2025-03-26-oauth-metadata-backcompat, whose authorization server names another issuer than its own address, which our
// client refuses (RFC 8414, 3.3); auth/client-credentials-jwt and -basic and auth/cross-app-access-complete-flow, extensions for
// programs that sign in without a person.

/** Scenarios for servers, likewise. */
const SERVER_SAMPLE = ["tools-call-with-progress", "tools-call-elicitation", "server-sse-multiple-streams", "dns-rebinding-protection"];
const SERVER_REST = [
  "server-initialize",
  "logging-set-level",
  "ping",
  "completion-complete",
  "tools-list",
  "tools-call-simple-text",
  "tools-call-image",
  "tools-call-audio",
  "tools-call-embedded-resource",
  "tools-call-mixed-content",
  "tools-call-with-logging",
  "tools-call-error",
  "tools-call-sampling",
  "json-schema-2020-12",
  "elicitation-sep1034-defaults",
  "server-sse-polling",
  "elicitation-sep1330-enums",
  "resources-list",
  "resources-read-text",
  "resources-read-binary",
  "resources-templates-read",
  "resources-subscribe",
  "resources-unsubscribe",
  "prompts-list",
  "prompts-get-simple",
  "prompts-get-with-args",
  "prompts-get-embedded-resource",
  "prompts-get-with-image",
];

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

    for (const scenario of full ? [...SERVER_SAMPLE, ...SERVER_REST] : SERVER_SAMPLE) {
      it(scenario, async () => {
        verifies("D4");
        // One process each: the suite's own client, running all of them in one go, sometimes waits for an answer that it has.
        const { code, said } = await conformance(["server", "--url", url, "--scenario", scenario]);
        assert.equal(code, 0, said);
        assert.match(said, /Passed: (\d+)\/\1, 0 failed/, said);
      });
    }
  });
});
