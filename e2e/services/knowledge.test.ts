import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";

import { temporaryDatabase, type TemporaryDatabase } from "./database.ts";
import { ServiceSystem } from "./system.ts";

/** What the workshop knows, in a process of its own. */
describe("the knowledge service", () => {
  const system = new ServiceSystem();
  let database: TemporaryDatabase;
  before(async () => {
    database = await temporaryDatabase();
    const env = { DATABASE_URL: database.url, GUILD_KNOWLEDGE_VECTORS: "memory" };
    const knowledge = await system.start("knowledge", ["knowledge"], { env });
    const orchestrator = await system.start("orchestrator", ["orchestrator"], { env });
    const gateway = await system.start("gateway", ["gateway"], {
      join: orchestrator.address,
      env: { GUILD_SERVICES_KNOWLEDGE: knowledge.address },
    });
    system.gateway = gateway.address;
  });
  after(async () => {
    await system.close();
    await database.close();
  });

  it("takes in and finds what people say at the gateway", async () => {
    const added = await system.guild(["knowledge", "add", "Tests need the staging database.", "--title", "Tests"]);
    assert.equal(added.code, 0, added.stderr);
    const found = await system.guild(["knowledge", "search", "staging database"]);
    assert.equal(found.code, 0, found.stderr);
    assert.match(found.stdout, /Tests/);
  });
});
