import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, it } from "node:test";

import { startKeyringSession } from "@guildhall/core/testing";

import { Home } from "../cli/guild.ts";
import { verifies } from "../verifies.ts";

/** Sets, lists and deletes by the commands, the daemon started anew in between. */
async function useStore(home: Home, env: Record<string, string>): Promise<void> {
  const guild = (args: string[], input = "") => home.guild(args, { env, input });
  assert.equal((await guild(["secret", "list"])).stdout, "");
  const set = await guild(["secret", "set", "TOKEN"], "a value\n");
  assert.equal(set.code, 0, set.stderr);
  const granted = await guild(["secret", "grant", "TOKEN", "--host", "api.example.com"]);
  assert.equal(granted.code, 0, granted.stderr);
  const large = await guild(["secret", "set", "LARGE"], "x".repeat(1_000_000));
  assert.deepEqual([large.code, large.stderr.split("\n").length], [2, 2], large.stderr);
  assert.equal((await guild(["down"])).code, 0);
  assert.match((await guild(["secret", "list"])).stdout, /^TOKEN \n {2}to api\.example\.com grt_/);
  assert.equal((await guild(["secret", "revoke", "TOKEN", "--delete"])).code, 0);
  assert.equal((await guild(["secret", "list"])).stdout, "");
}

describe("the stores of secrets", () => {
  it("can be the operating system's keyring", async () => {
    verifies("F7");
    const session = await startKeyringSession();
    const home = new Home();
    try {
      home.write("guild/config/settings.toml", '[secrets]\nstore = "keyring"\n');
      await useStore(home, { DBUS_SESSION_BUS_ADDRESS: session.env["DBUS_SESSION_BUS_ADDRESS"] ?? "" });
    } finally {
      await home.remove();
      await session.close();
    }
  });

  it("says in one line that there is no keyring", async () => {
    const home = new Home();
    try {
      home.write("guild/config/settings.toml", '[secrets]\nstore = "keyring"\n');
      const failed = await home.guild(["secret", "set", "TOKEN"], { input: "x\n" });
      assert.notEqual(failed.code, 0);
      assert.match(failed.stderr, /^guild: no keyring answers: [^\n]* — unlock it[^\n]*\n$/);
    } finally {
      await home.remove();
    }
  });

  it("can be a Vault-compatible server", async () => {
    verifies("F7");
    // The KV version 2 API as its documentation describes it: versioned data, check-and-set, errors as a list.
    const versions: Array<Record<string, string>> = [];
    const server = createServer((message, response) => {
      const chunks: Buffer[] = [];
      message.on("data", (chunk: Buffer) => chunks.push(chunk));
      message.on("end", () => {
        const answer = (status: number, body: unknown): void => {
          response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
        };
        if (message.headers["x-vault-token"] !== "hvs-test") return answer(403, { errors: ["permission denied"] });
        if (message.url !== "/v1/team/data/guildhall/secrets") return answer(404, { errors: [] });
        const metadata = {
          created_time: "2026-01-01T00:00:00Z",
          custom_metadata: null,
          deletion_time: "",
          destroyed: false,
          version: versions.length,
        };
        if (message.method === "GET") {
          const data = versions.at(-1);
          return data === undefined ? answer(404, { errors: [] }) : answer(200, { data: { data, metadata } });
        }
        const { data, options } = JSON.parse(Buffer.concat(chunks).toString()) as {
          data: Record<string, string>;
          options: { cas: number };
        };
        if (options.cas !== versions.length) return answer(400, { errors: ["check-and-set parameter did not match the current version"] });
        versions.push(data);
        return answer(200, { data: { ...metadata, version: versions.length } });
      });
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const home = new Home();
    try {
      const settings = [
        'store = "vault"',
        `vault_address = "http://127.0.0.1:${port}"`,
        'vault_mount = "team"',
        'vault_path = "guildhall/secrets"',
      ];
      home.write("guild/config/settings.toml", `[secrets]\n${settings.join("\n")}\n`);
      await useStore(home, { VAULT_TOKEN: "hvs-test" });
      assert.deepEqual(versions, [{ TOKEN: "a value" }, {}]);
      await home.guild(["down"]);
      const refused = await home.guild(["secret", "list"], { env: { VAULT_TOKEN: "another" } });
      assert.match(refused.stderr, /^guild: the vault refuses the token [^\n]*\n$/);
    } finally {
      await home.remove();
      server.close();
      server.closeAllConnections();
    }
  });
});
