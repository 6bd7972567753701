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

const command = `${process.execPath} ${join(import.meta.dirname, "conformance-client.ts")}`;
const client = ["client", "--command", command, "--timeout", "240000"];
/** Scenarios for clients that run in every gate; the whole run has them all, at the same time. */
const SAMPLE = [
  "initialize",
  "tools_call",
  "elicitation-sep1034-client-defaults",
  "auth/scope-step-up",
  "auth/2025-03-26-oauth-metadata-backcompat",
  "auth/cross-app-access-complete-flow",
];
/** How many scenarios there were, and the total of their checks. */
function summary(said: string): string {
  return `${said.match(/^✓ /gm)?.length ?? 0} of ${said.match(/^[✓✗] /gm)?.length ?? 0} scenarios; ${/Total: .*/.exec(said)?.[0] ?? "no total"}`;
}

async function conformance(args: string[]): Promise<{ code: number | null; said: string }> {
  const child = spawn(process.execPath, [suite, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const [said, errors, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "close")]);
  return { code: code as number | null, said: said + errors };
}

describe("the conformance suite of the Model Context Protocol", () => {
  if (full) {
    it("passes our client: every scenario in one go", { timeout: 600_000 }, async (test) => {
      verifies("D4", "D5");
      const { code, said } = await conformance([...client, "--suite", "all"]);
      assert.equal(code, 0, said);
      test.diagnostic(summary(said));
      assert.match(said, /Total: \d+ passed, 0 failed, 0 warnings/);
    });
  }

  for (const scenario of full ? [] : SAMPLE) {
    it(`passes our client: ${scenario}`, async () => {
      verifies("D4");
      const { code, said } = await conformance([...client, "--scenario", scenario]);
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

    it("every scenario in one go, whose client keeps its connections", { timeout: 300_000 }, async (test) => {
      verifies("D4", "D5");
      const { code, said } = await conformance(["server", "--url", url, "--suite", "all"]);
      assert.equal(code, 0, said);
      test.diagnostic(summary(said));
      assert.match(said, /Total: \d+ passed, 0 failed/);
    });
  });
});
