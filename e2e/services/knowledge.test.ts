import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { repository } from "../cli/guild.ts";
import { verifies } from "../verifies.ts";
import { temporaryDatabase, type TemporaryDatabase } from "./database.ts";
import { pause, pidOf, type Service, ServiceSystem } from "./system.ts";

/** What the workshop knows, in a process of its own. */
describe("the knowledge service", () => {
  const system = new ServiceSystem();
  let database: TemporaryDatabase;
  let knowledge: Service;
  before(async () => {
    database = await temporaryDatabase();
    const env = { DATABASE_URL: database.url, GUILD_KNOWLEDGE_VECTORS: "memory" };
    knowledge = await system.start("knowledge", ["knowledge"], { env });
    const models = await system.start("models", ["models"]);
    const at = { GUILD_SERVICES_MODELS: models.address, GUILD_SERVICES_KNOWLEDGE: knowledge.address };
    const orchestrator = await system.start("orchestrator", ["orchestrator"], { env: { ...env, ...at } });
    await system.start("worker", ["worker"], { join: orchestrator.address, env: at });
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

  it("is asked and told by sessions at a worker, which go on without it when it is away, and say so", async () => {
    verifies("A2");
    verifies("C6");
    await system.guild(["knowledge", "add", "Releases are cut from the branch harvest.", "--title", "Releases", "--scope", "global"]);
    const call = (tool: string, args: object) => `      - { tool: ${tool}, args: ${JSON.stringify(args)} }\n`;
    const recall = `  - say: asking\n    calls:\n${call("recall", { query: "which branch are releases cut from" })}`;
    const keep = `  - say: keeping\n    calls:\n${call("remember", { text: "The linker of this project needs the flag --gc-sections." })}`;
    const done = `  - say: done\n    calls:\n${call("finish", { done: true, summary: "all is done" })}`;
    const run = async (name: string): Promise<string> => {
      const origin = join(system.home.directory, name);
      mkdirSync(origin);
      repository(origin);
      const script = system.home.write(`${name}.yaml`, `steps:\n${recall}${keep}${done}`);
      const workspace = { gitUrl: `file://${origin}` };
      const task = { goal: "release it", workspace, model: `scripted:${script}`, approvalPolicy: "never" };
      const { tasks = [] } = (await system.call("TaskService/SubmitTasks", { tasks: [task] })) as { tasks?: Array<{ id: string }> };
      const { state, reason, session } = await system.ended(tasks[0]?.id ?? "");
      assert.equal(state, "succeeded", String(reason));
      return JSON.stringify(await system.events(String(session)));
    };
    assert.match(await run("first"), /Releases are cut from the branch harvest/);
    for (;;) {
      const found = await system.guild(["knowledge", "search", "linker flag"]);
      if (/gc-sections/.test(found.stdout)) break;
      await pause(200);
    }
    process.kill(pidOf(knowledge), "SIGKILL");
    await knowledge.ended;
    const alone = await run("second");
    assert.match(alone, /what is known: /, "it says what was not asked");
    assert.doesNotMatch(alone, /branch harvest\./);
  });
});
