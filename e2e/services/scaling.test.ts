import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { verifies } from "../verifies.ts";
import { pause, type Service, ServiceSystem } from "./system.ts";

/** One step that takes a moment, then finish. */
const SCRIPT = `steps:
  - say: work
    calls:
      - tool: bash
        args: { command: "sleep 2; echo done > result.txt" }
  - say: done
    calls:
      - tool: finish
        args: { done: true, summary: done }
`;

describe("an orchestrator that starts its workers itself", () => {
  const system = new ServiceSystem();
  let orchestrator: Service;
  before(async () => {
    orchestrator = await system.start("orchestrator", ["orchestrator", "models"], {
      env: { GUILD_WORKERS_MIN: "1", GUILD_WORKERS_MAX: "3", GUILD_WORKERS_SLOTS: "1", GUILD_WORKERS_KEEP_SECONDS: "1" },
    });
    system.gateway = orchestrator.address;
    await system.workers(1);
  });
  after(() => system.close());
  const metrics = async (path: string, token = system.token): Promise<Response> =>
    await fetch(`http://${orchestrator.address}${path}`, { headers: { authorization: `Bearer ${token}` } });

  it("has more of them while tasks wait, loses none of the tasks, and has few again", async () => {
    verifies("A3", "A7");
    const file = system.home.write("scale.yaml", SCRIPT);
    const ids: string[] = [];
    for (const name of ["a", "b", "c", "d"]) {
      const workspace = join(system.home.directory, name);
      mkdirSync(workspace);
      const submitted = await system.json("task", "submit", "work", "--workspace", workspace, "--model", `scripted:${file}`, "--yes");
      ids.push(String(submitted[0]?.["id"]));
    }
    const grown = await system.workers(3);
    assert.equal(new Set(grown).size, 3);
    for (const id of ids) {
      const task = await system.task(id, ({ state }) => state === "succeeded" || state === "failed");
      assert.equal(task["state"], "succeeded", String(task["reason"]));
    }
    await system.workers(1);
    assert.match(orchestrator.errors, /local-\d is drained/);
  });

  it("tells its queue to who may ask", async () => {
    // A task has ended a moment before its worker says that nothing of it is left.
    let text = "";
    while (!text.includes("guildhall_tasks_open 0")) {
      await pause(100);
      text = await (await metrics("/metrics")).text();
    }
    assert.match(text, /^# TYPE guildhall_tasks_open gauge\nguildhall_tasks_open 0$/m);
    assert.match(text, /^guildhall_workers \d$/m);
    const json = (await (await metrics("/metrics.json")).json()) as Record<string, number>;
    assert.equal(json["guildhall_tasks_queued"], 0);
    assert.equal((await metrics("/metrics", "another")).status, 401);
  });
});
