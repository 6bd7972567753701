import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { type Home, jsonLines } from "../cli/guild.ts";
import { Internet, noInternet } from "../network/internet.ts";
import { verifies } from "../verifies.ts";

const DOCUMENT = `
openapi: 3.1.0
info: { title: Items, version: "1" }
servers: [{ url: https://api.example.com/v1 }]
x-guildhall-headers: { authorization: "Bearer \${API_TOKEN}" }
paths:
  /items/{id}:
    get:
      operationId: getItem
      summary: One item.
      parameters:
        - { name: id, in: path, required: true, schema: { type: string } }
        - { name: tag, in: query, schema: { type: array, items: { $ref: "#/components/schemas/Tag" } } }
  /elsewhere:
    post:
      operationId: elsewhere
      requestBody: { content: { application/json: { schema: { type: object, properties: { n: { type: integer } }, required: [n] } } } }
components: { schemas: { Tag: { type: string } } }
`;

describe("what is reached through the session's way out", { skip: noInternet }, () => {
  const internet = new Internet();
  let home: Home;
  let workspace = "";
  before(async () => {
    await internet.start();
    home = internet.home();
    workspace = home.sample();
    home.write("guild/config/policy.toml", '[[network.rules]]\nhost = "api.example.com"\n');
    home.write(
      "guild/config/mcp.json",
      JSON.stringify({ mcpServers: { sky: { url: "https://api.example.com/mcp" }, other: { url: "https://other.example.com/mcp" } } }),
    );
    mkdirSync(join(workspace, ".guildhall/openapi"), { recursive: true });
    writeFileSync(join(workspace, ".guildhall/openapi/items.yaml"), DOCUMENT);
    await home.guild(["secret", "set", "API_TOKEN"], { input: "t0ken-value-123" });
    await home.guild(["secret", "grant", "API_TOKEN", "--host", "api.example.com"]);
    const [shown] = jsonLines((await home.guild(["trust", "show", workspace, "--json"])).stdout);
    await home.guild(["trust", "add", workspace, "--digest", String(shown?.["digest"])]);
  });
  after(async () => {
    await home.remove();
    await internet.stop();
  });
  const call = async (name: string, args: object) => {
    const done = await home.guild(["tool", "call", name, "--args", JSON.stringify(args), "--workspace", workspace, "--json"]);
    const [line] = jsonLines(done.stdout);
    return line === undefined ? done.stderr : String(line["output"]);
  };

  it("is an MCP server at an address that the policy allows, and no other", async () => {
    verifies("D5", "F3");
    const tested = await home.guild(["mcp", "test", "sky", "--workspace", workspace]);
    assert.match(tested.stdout, /^sky: world 1, protocol 2025-11-25: 1 tools/, tested.stderr);
    assert.equal(await call("mcp__sky__weather", {}), "rain, as ever");
    const refused = await home.guild(["mcp", "test", "other", "--workspace", workspace]);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /MCP server other: the policy refuses other\.example\.com/);
  });

  it("is every operation of an OpenAPI document, with a secret that only the service sees", async () => {
    verifies("D5", "F7");
    const output = await call("items__getItem", { id: "a/b c", tag: ["x", "y&z"] });
    assert.match(output, /^200 [^]*hello from api\.example\.com\/v1\/items\/a%2Fb%20c\?tag=x&tag=y%26z/);
    const received = internet.received.find(({ url }) => url.includes("/v1/items/"));
    assert.equal(received?.authorization, "Bearer t0ken-value-123");
    assert.match(await call("items__getItem", { id: ".." }), /would lead to another path/);
    assert.match(await call("items__elsewhere", { body: { n: "one" } }), /`body\.n`: expected/);
    assert.match(await call("items__elsewhere", { body: { n: 1 } }), /^200 [^]*hello from api\.example\.com\/v1\/elsewhere/);
    assert.equal(internet.received.find(({ url }) => url.includes("elsewhere"))?.body, '{"n":1}');
  });
});
