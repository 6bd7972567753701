import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { FakeSandboxProvider } from "./fake-sandbox.ts";
import { failsWith, finish } from "./sandbox-run.ts";
import { sandboxContract } from "./sandbox.contract.ts";

let count = 0;
sandboxContract(
  "fake",
  async () => {
    const provider = new FakeSandboxProvider();
    return { provider, newWorkspace: async () => `/workspaces/${++count}`, close: () => provider.close() };
  },
  { isolated: false, shell: false },
);

describe("a fake sandbox", () => {
  it("runs the programs that it was given, which see its files", async () => {
    const provider = new FakeSandboxProvider({
      async test({ files, write }) {
        const source = Buffer.from(await files.read("add.js")).toString();
        await write("stderr", source);
        return source.includes("a + b") ? 0 : 1;
      },
    });
    const sandbox = await provider.create({ id: "one", workspace: "/w" });
    await sandbox.files.write("add.js", Buffer.from("a - b"));
    const run = async () => await finish(await sandbox.exec({ argv: ["test"] }));
    assert.equal((await run()).exit.code, 1);
    await sandbox.files.write("add.js", Buffer.from("a + b"));
    const done = await run();
    assert.deepEqual([done.exit.code, done.stderr], [0, "a + b"]);
  });

  it("can be lost, as to a lease", async () => {
    const sandbox = await new FakeSandboxProvider().create({ id: "one", workspace: "/w" });
    const execution = await sandbox.exec({ argv: ["sleep", "300"] });
    sandbox.lose("lease");
    assert.equal((await execution.exit).limit, "lease");
    assert.equal(await sandbox.gone, "lease");
    await assert.rejects(sandbox.exec({ argv: ["true"] }), failsWith("unavailable"));
  });
});
