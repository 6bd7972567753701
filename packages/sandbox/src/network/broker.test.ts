import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import type { Sandbox, SandboxProvider } from "@guildhall/core";

import { createSandboxProvider } from "../create-provider.ts";
import type { WayOutRules } from "./broker-messages.ts";
import { Broker } from "./broker.ts";
import type { NetworkDecision } from "./proxy.ts";

const RULES: WayOutRules = { layers: [[{ id: "r", host: "allowed.invalid" }]], limits: {}, grants: [], values: {} };

describe("the way out of a sandbox", () => {
  let folder = "";
  let workspace = "";
  let broker: Broker;
  let provider: SandboxProvider;
  const logged: string[] = [];

  before(() => {
    folder = mkdtempSync(join(tmpdir(), "guild-broker-"));
    workspace = mkdtempSync(join(tmpdir(), "guild-workspace-"));
    broker = new Broker({
      program: [process.execPath, join(import.meta.dirname, "broker.fixture.ts")],
      env: {},
      runtimeDir: folder,
      log: (line) => logged.push(line),
    });
    provider = createSandboxProvider("bubblewrap", { stateDir: join(folder, "state") });
  });

  after(async () => {
    await provider.close();
    await broker.close();
    for (const directory of [folder, workspace]) rmSync(directory, { recursive: true, force: true });
  });

  async function shell(sandbox: Sandbox, script: string): Promise<string> {
    const execution = await sandbox.exec({ argv: ["/run/guildhall/bin/bash", "-c", script] });
    let text = "";
    for await (const { bytes } of execution.output) text += Buffer.from(bytes).toString();
    await execution.exit;
    return text;
  }

  it("leads to the proxy and nowhere else, follows changes, and is shut with it", async () => {
    const decisions: NetworkDecision[] = [];
    const wayOut = await broker.open(RULES, (decision) => decisions.push(decision));
    const sandbox = await provider.create({ id: "sbx-1", workspace, wayOut });
    try {
      const get = (url: string): Promise<string> => shell(sandbox, `curl -sS --max-time 20 ${url} 2>&1`);
      assert.match(await get("http://refused.invalid/x?secret=1"), /no rule allows refused\.invalid/);
      assert.match(await get("https://refused.invalid/"), /403/);
      assert.match(await get("https://allowed.invalid/"), /allowed\.invalid cannot be resolved/);
      await wayOut.settle();
      assert.deepEqual(
        decisions.map(({ method, host, path, allowed }) => [method, host, path, allowed]),
        [
          ["GET", "refused.invalid", "/x", false],
          ["CONNECT", "refused.invalid", "", false],
          ["GET", "allowed.invalid", "/", false],
        ],
      );
      await wayOut.change({ ...RULES, layers: [[{ id: "r2", host: "refused.invalid" }]] });
      assert.match(await get("https://refused.invalid/"), /refused\.invalid cannot be resolved/);
      assert.match(
        await shell(sandbox, "curl -sS --noproxy '*' --max-time 5 http://1.1.1.1/ 2>&1"),
        /unreachable|Couldn't connect|Failed to connect/,
      );
      assert.equal(await shell(sandbox, "ls /sys/class/net 2>/dev/null; grep -c : /proc/net/dev"), "1\n");
      await wayOut.close();
      assert.match(await get("http://refused.invalid/"), /curl: \(\d+\)/);
    } finally {
      await sandbox.dispose();
      await wayOut.close();
    }
    assert.equal(existsSync(wayOut.directory), false);
  });

  it("opens again when the relay inside was killed", async () => {
    const wayOut = await broker.open(RULES, () => undefined);
    const sandbox = await provider.create({ id: "sbx-2", workspace, wayOut });
    try {
      const script = `for p in /proc/[0-9]*; do case $(cat $p/cmdline | tr '\\0' ' ') in *TCP4-LIST[E]N*) kill -9 \${p#/proc/};; esac; done 2>/dev/null
        for i in $(seq 100); do curl -sS http://refused.invalid/ 2>/dev/null && exit; sleep 0.05; done`;
      assert.match(await shell(sandbox, script), /no rule allows/);
    } finally {
      await sandbox.dispose();
      await wayOut.close();
    }
  });

  it("is shut when the broker dies, and another broker opens the next", async () => {
    const wayOut = await broker.open(RULES, () => undefined);
    const pid = brokerPid();
    if (process.geteuid?.() === 0) assert.match(readFileSync(`/proc/${pid}/status`, "utf8"), /^Uid:\s+60790\s+60790\s+60790\s+60790$/m);
    process.kill(pid, "SIGKILL");
    await wayOut.lost;
    await assert.rejects(wayOut.change(RULES), /broker/);
    const next = await broker.open(RULES, () => undefined);
    assert.notEqual(brokerPid(), pid);
    await next.close();
    await wayOut.close();
    assert.deepEqual(logged, ["the broker ended (SIGKILL): sandboxes that run have no network any more"]);
  });

  /** Of this test's own child. */
  function brokerPid(): number {
    const children = readFileSync(`/proc/self/task/${process.pid}/children`, "utf8").trim().split(" ").map(Number);
    return children.find((pid) => readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("broker.fixture.ts")) ?? assert.fail("no broker");
  }
});
