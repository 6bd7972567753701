import assert from "node:assert/strict";
import { describe, it } from "node:test";

import type { ExitStatus, Sandbox } from "@guildhall/core";

import { runShellHook } from "./shell-hook.ts";

/** A sandbox in which a hook ends as it is told to. */
function world(exit: Partial<ExitStatus>, printed = "") {
  const changes: object[] = [];
  const seconds: unknown[] = [];
  let runs = 0;
  const sandbox: Pick<Sandbox, "exec" | "changeEnvironment"> = {
    changeEnvironment: (change) => void changes.push(change),
    exec: async (spec) => {
      const first = runs++ === 0;
      seconds.push(spec.limits?.wallSeconds);
      const status = { code: 0, signal: undefined, limit: undefined, cpuMs: 0, maxRssBytes: 0, ...(first ? {} : exit) };
      return {
        pid: 1,
        output: (async function* () {
          yield { stream: "stdout" as const, bytes: Buffer.from(first ? "A=1\0" : printed) };
        })(),
        exit: Promise.resolve(status),
        write: async () => undefined,
        closeInput: async () => undefined,
        signal: async () => undefined,
        resize: async () => undefined,
        close: async () => undefined,
      };
    },
  };
  return { sandbox, changes, seconds };
}

describe("a shell hook", () => {
  it("that never ends is ended, said in one line, and changes nothing", async () => {
    const { sandbox, changes, seconds } = world({ code: undefined, limit: "wall" });
    assert.equal(
      await runShellHook(sandbox, "while :; do :; done", { A: "1" }),
      "The environment's shell hook had no effect: it was not done after 30 s",
    );
    assert.deepEqual([changes, seconds], [[], [30, 30]]);
  });

  it("that fails says so; what one exports is in the environment of what comes after", async () => {
    const failed = world({ code: 3 });
    assert.match((await runShellHook(failed.sandbox, "exit 3", {})) ?? "", /had no effect: it ended with exit code 3/);
    assert.deepEqual(failed.changes, []);
    const fine = world({}, "A=2\0B=3\0PWD=/x\0");
    assert.equal(await runShellHook(fine.sandbox, "export A=2 B=3", { A: "1", GONE: "x" }), undefined);
    assert.deepEqual(fine.changes, [{ A: "2", B: "3", GONE: undefined }]);
  });
});
