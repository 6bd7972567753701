import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { FakeToolSession } from "@guildhall/core/testing";
import { Risk } from "@guildhall/protocol";

import { openApiTools } from "./openapi-tools.ts";

const document = (paths: object, more: object = {}): string =>
  JSON.stringify({ openapi: "3.0.3", servers: [{ url: "https://api.example.com" }], paths, ...more });

describe("an OpenAPI document", () => {
  it("gives each operation as a lazy tool; what changes something is of high risk", () => {
    const tools = openApiTools("pets", document({ "/pets": { get: { operationId: "list pets" }, post: { summary: "Adds one." } } }));
    assert.deepEqual(
      tools.map(({ name, lazy, source }) => [name, lazy, source]),
      [
        ["pets__list_pets", true, "openapi:pets"],
        ["pets__post__pets", true, "openapi:pets"],
      ],
    );
    assert.deepEqual(
      tools.map((tool) => tool.risk({})),
      [Risk.MEDIUM, Risk.HIGH],
    );
    assert.equal(tools[1]?.description, "POST /pets Adds one.");
  });

  it("may refer to itself without end", () => {
    const components = { schemas: { Node: { type: "object", properties: { next: { $ref: "#/components/schemas/Node" } } } } };
    const body = { content: { "application/json": { schema: { $ref: "#/components/schemas/Node" } } } };
    const [tool] = openApiTools("loop", document({ "/x": { put: { requestBody: body } } }, { components }));
    assert.ok(tool?.schema.safeParse({ body: { next: { next: {} } } }).success);
    assert.equal(tool.schema.safeParse({ body: { next: 1 } }).success, false);
  });

  it("is refused with a reason when it is none", () => {
    for (const bad of ["x: [", "{}", '{"openapi":"2.0"}', document({}, { servers: [{ url: "/relative" }] })]) {
      assert.throws(() => openApiTools("bad", bad), { code: "invalid_argument" });
    }
  });

  it("says what happened when nothing can be reached", async () => {
    const [tool] = openApiTools("pets", document({ "/pets/{id}": { get: { parameters: [{ name: "id", in: "path" }] } } }));
    const session = new FakeToolSession();
    const result = await tool?.execute({ id: "1" }, session.context());
    assert.equal(result?.status, "error");
    assert.match(result.output, /there is no bash/);
  });
});
