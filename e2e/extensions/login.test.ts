import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { after, before, describe, it } from "node:test";

import { Home, jsonLines } from "../cli/guild.ts";
import { verifies } from "../verifies.ts";

/** An MCP server that wants a sign-in, and the authorization server that gives it (registration, PKCE, renewal), on one port. */
class GuardedServer {
  readonly asked: string[] = [];
  readonly #tokens = new Set<string>();
  readonly #codes = new Map<string, string>();
  readonly #server: Server = createServer((request, response) => {
    this.#answer(request, response).catch((error: unknown) => response.writeHead(500).end(String(error)));
  });
  origin = "";

  async start(): Promise<void> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    this.origin = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  /** Tokens that were given out count no more; those that renew them do. */
  expire(): void {
    this.#tokens.clear();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { origin } = this;
    const url = new URL(request.url ?? "/", origin);
    const json = (status: number, value: unknown, headers: Record<string, string> = {}): void =>
      void response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(value));
    this.asked.push(`${request.method} ${url.pathname}`);
    switch (url.pathname) {
      case "/.well-known/oauth-protected-resource/mcp":
        return json(200, { resource: `${origin}/mcp`, authorization_servers: [origin] });
      case "/.well-known/oauth-authorization-server":
        return json(200, {
          issuer: origin,
          authorization_endpoint: `${origin}/authorize`,
          token_endpoint: `${origin}/token`,
          registration_endpoint: `${origin}/register`,
          response_types_supported: ["code"],
          code_challenge_methods_supported: ["S256"],
          token_endpoint_auth_methods_supported: ["none"],
        });
      case "/register":
        return json(201, { ...(JSON.parse(await text(request)) as object), client_id: "client-1" });
      case "/authorize": {
        const back = new URL(url.searchParams.get("redirect_uri") ?? "");
        const code = randomUUID();
        this.#codes.set(code, url.searchParams.get("code_challenge") ?? "");
        back.searchParams.set("code", code);
        back.searchParams.set("state", url.searchParams.get("state") ?? "");
        return void response.writeHead(302, { location: back.href }).end();
      }
      case "/token": {
        const form = new URLSearchParams(await text(request));
        const challenge = createHash("sha256")
          .update(form.get("code_verifier") ?? "")
          .digest("base64url");
        const fits = form.get("grant_type") === "refresh_token" || this.#codes.get(form.get("code") ?? "") === challenge;
        if (!fits) return json(400, { error: "invalid_grant" });
        const token = randomUUID();
        this.#tokens.add(token);
        this.asked.push(`grant ${form.get("grant_type")}`);
        return json(200, { access_token: token, token_type: "Bearer", expires_in: 3600, refresh_token: "again" });
      }
      default: {
        const shown = request.headers.authorization?.replace(/^Bearer /, "") ?? "";
        if (!this.#tokens.has(shown)) {
          const where = `Bearer resource_metadata="${origin}/.well-known/oauth-protected-resource/mcp"`;
          return json(401, { error: "invalid_token" }, { "www-authenticate": where });
        }
        if (request.method !== "POST") return void response.writeHead(405).end();
        const { id, method, params } = JSON.parse(await text(request)) as {
          id?: number;
          method: string;
          params?: { protocolVersion?: string };
        };
        if (id === undefined) return void response.writeHead(202).end();
        const results: Record<string, unknown> = {
          initialize: {
            protocolVersion: params?.protocolVersion,
            capabilities: { tools: {} },
            serverInfo: { name: "guarded", version: "1" },
          },
          "tools/list": { tools: [{ name: "whoami", description: "Who.", inputSchema: { type: "object" } }] },
          "tools/call": { content: [{ type: "text", text: "you are signed in" }] },
        };
        const result = results[method];
        return json(200, {
          jsonrpc: "2.0",
          id,
          ...(result === undefined ? { error: { code: -32601, message: "Method not found" } } : { result }),
        });
      }
    }
  }
}

describe("guild mcp login", () => {
  const server = new GuardedServer();
  let home: Home;
  let workspace = "";
  before(async () => {
    await server.start();
    home = new Home();
    workspace = home.sample();
  });
  after(async () => {
    await home.remove();
    server.stop();
  });

  const call = async (): Promise<string> => {
    const done = await home.guild(["tool", "call", "mcp__guarded__whoami", "--args", "{}", "--workspace", workspace, "--json"]);
    const output = jsonLines(done.stdout)[0]?.["output"];
    return typeof output === "string" ? output : done.stderr;
  };

  it("signs a person in once; the token is renewed, outlives the daemon", async () => {
    verifies("D5", "F7");
    assert.equal((await home.guild(["mcp", "add", "guarded", "--url", `${server.origin}/mcp`, "--direct"])).code, 0);
    const refused = await home.guild(["mcp", "test", "guarded", "--workspace", workspace]);
    assert.notEqual(refused.code, 0);
    assert.match(refused.stderr, /asks for a sign-in.*guild mcp login guarded/);

    const login = home.start(["mcp", "login", "guarded", "--workspace", workspace]);
    const said = await login.until(/http:\/\/127\.0\.0\.1:\d+\/authorize\S+/);
    const [address = ""] = /http:\/\/127\.0\.0\.1:\d+\/authorize\S+/.exec(said) ?? [];
    // The browser: it is sent back to the port that waits.
    assert.match(await (await fetch(address)).text(), /has its answer/);
    const done = await login.finished;
    assert.equal(done.code, 0, done.stderr);
    assert.match(done.stdout, /signed in at guarded/);
    assert.match((await home.guild(["mcp", "list", "--workspace", workspace])).stdout, /guarded .*signed in/);
    assert.equal(await call(), "you are signed in");

    server.expire();
    assert.equal((await home.guild(["down"])).code, 0);
    assert.equal(await call(), "you are signed in");
    assert.ok(server.asked.includes("grant refresh_token"), server.asked.join(", "));
  });
});
