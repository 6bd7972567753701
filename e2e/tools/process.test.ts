import assert from "node:assert/strict";
import { test } from "node:test";

import { verifies } from "../verifies.ts";
import { describeInProviders } from "./providers.ts";
import { openToolBench, type ToolBench } from "./tool-bench.ts";

/** A server on a port that the system chose, printed once it listens. */
const SERVER = `python3 -u -c '
import socket, time
s = socket.socket(); s.bind(("127.0.0.1", 0)); print("bound", flush=True); time.sleep(0.2)
s.listen(); print("port", s.getsockname()[1], flush=True); time.sleep(100)'`;

await describeInProviders("process, ports, system", (provider) => {
  const act = async (bench: ToolBench, args: object) => {
    const result = await bench.call("process", args);
    return { ...result, data: result.data as Record<string, unknown> };
  };

  test("start, wait for a pattern, the port and its process, stop", async () => {
    verifies("D7", "D8");
    await using bench = await openToolBench(provider);
    const started = await act(bench, { action: "start", command: SERVER, pattern: "^port \\d+", timeout_s: 20 });
    assert.deepEqual([started.status, started.data["outcome"]], ["ok", "met"], started.output);
    const port = Number(/port (\d+)/.exec(started.output)?.[1]);
    const met = await act(bench, { action: "wait", process: "p1", port });
    assert.equal(met.data["outcome"], "met");
    const ports = await bench.call("ports", { port });
    const [row] = (ports.data as { ports: Array<Record<string, unknown>> }).ports;
    assert.deepEqual([row?.["protocol"], row?.["address"], row?.["port"]], ["tcp", "127.0.0.1", port], ports.output);
    assert.match(String(row?.["command"]), /python3/);
    const system = await bench.call("system", {});
    assert.ok((system.data as { ports: string[] }).ports.includes(`tcp/${port}`));
    const stopped = await act(bench, { action: "stop", process: "p1" });
    assert.equal(stopped.data["running"], false);
    assert.match((await bench.call("ports", { port })).output, /Nothing listens on port/);
    assert.match((await act(bench, { action: "list" })).output, /^p1 +ended, SIGTERM/);
  });

  test("wait for a port that opens later, for the end, and in vain", { timeout: 60_000 }, async () => {
    verifies("D7");
    await using bench = await openToolBench(provider);
    const later = await act(bench, { action: "start", command: "sleep 0.3; echo over; exit 3", pattern: "never", timeout_s: 900 });
    assert.deepEqual([later.status, later.data["outcome"], later.data["exit_code"]], ["error", "ended", 3], later.output);
    assert.match(later.output, /^over/);
    await act(bench, { action: "start", command: "sleep 0.2; exit 4", timeout_s: 0.01 });
    const end = await act(bench, { action: "wait", process: "p2" });
    assert.deepEqual([end.status, end.data["exit_code"]], ["ok", 4]);
    await act(bench, { action: "start", command: "sleep 100" });
    const vain = await act(bench, { action: "wait", process: "p3", port: 9, timeout_s: 0.3 });
    assert.deepEqual([vain.status, vain.data["outcome"], vain.data["running"]], ["error", "timed_out", true]);
  });

  test("feed, signal and kill what does not listen; bash sees the same processes", async () => {
    verifies("D7");
    await using bench = await openToolBench(provider);
    await act(bench, { action: "start", command: "cat" });
    assert.match((await act(bench, { action: "input", process: "p1", input: "hello there" })).output, /hello there\nhello there/);
    assert.match((await bench.bash({ process: "p1" })).output, /p1 is running/);
    await act(bench, {
      action: "start",
      command: "trap 'echo caught' USR1; trap '' TERM; echo ready; while true; do sleep 0.05; done",
      pattern: "ready",
    });
    await act(bench, { action: "signal", process: "p2", signal: "usr1" });
    assert.equal((await act(bench, { action: "wait", process: "p2", pattern: "caught", timeout_s: 10 })).data["outcome"], "met");
    const killed = await act(bench, { action: "stop", process: "p2", timeout_s: 0.2 });
    assert.deepEqual([killed.data["running"], killed.data["signal"]], [false, "SIGKILL"]);
    assert.match((await act(bench, { action: "signal", process: "p1", signal: "SIGNONSENSE" })).output, /no signal/);
  });

  test("a pattern without end is refused, and a flood is bounded", { timeout: 60_000 }, async () => {
    await using bench = await openToolBench(provider);
    const evil = await act(bench, {
      action: "start",
      command: `printf '%s\\n' ${"a".repeat(40)}b; sleep 100`,
      pattern: "^(a+)+$",
      timeout_s: 10,
    });
    assert.match(evil.output, /takes too long/);
    assert.match((await act(bench, { action: "wait", process: "p1", pattern: "(" })).output, /cannot be used/);
    const flood = await act(bench, {
      action: "start",
      command: "head -c 5000000 /dev/zero | tr '\\0' x; echo; echo finished",
      pattern: "^finished",
      timeout_s: 30,
    });
    assert.equal(flood.data["outcome"], "met");
    assert.ok(flood.output.length < 20_000);
  });

  test("what the sandbox uses and may use", async () => {
    verifies("D11");
    await using bench = await openToolBench(provider);
    await act(bench, { action: "start", command: "exec sleep 321" });
    const result = await bench.call("system", { processes: 200 });
    const data = result.data as {
      cpu: { cores: number; load: number[] };
      memory: { total_bytes: number; available_bytes: number };
      disks: Array<{ mount: string; available_bytes: number }>;
      processes: { top: Array<{ command: string }> };
      limits: Record<string, number>;
    };
    assert.ok(data.cpu.cores >= 1 && data.cpu.load.length === 3);
    assert.ok(data.memory.total_bytes > data.memory.available_bytes && data.memory.available_bytes > 0);
    assert.ok(data.disks.length > 0 && data.disks.every(({ available_bytes }) => available_bytes >= 0));
    assert.ok(data.limits["memory_bytes"] !== undefined && data.limits["processes"] !== undefined, result.output);
    if (provider.name === "bubblewrap")
      assert.ok(
        data.processes.top.some(({ command }) => command === "sleep 321"),
        result.output,
      );
    for (const part of [/^CPU: \d+ cores/m, /^Memory: /m, /^Disk /m, /^Limits: .*memory/m, /^Listening: /m, /^Processes: /m])
      assert.match(result.output, part);
    assert.ok(result.output.length < 30_000);
  });
});
