import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, it } from "node:test";

import { GuildError } from "../errors.ts";
import { parseFaults, ProgrammedFaults } from "./fault-points.ts";

describe("fault points", () => {
  it("do nothing but count when nothing is asked for", () => {
    const faults = new ProgrammedFaults();
    for (const name of ["a", "b", "a"]) faults.hit(name);
    assert.deepEqual(Object.fromEntries(faults.hits), { a: 2, b: 1, "*": 3 });
  });

  it("throw at the hit that was named, and only there", () => {
    const faults = new ProgrammedFaults(parseFaults("a@2=storage_full, *@5=unavailable"));
    faults.hit("a");
    faults.hit("b");
    assert.throws(
      () => faults.hit("a"),
      (error) => GuildError.is(error, "storage_full"),
    );
    faults.hit("a");
    assert.throws(
      () => faults.hit("c"),
      (error) => GuildError.is(error, "unavailable"),
    );
  });

  it("end the process on the spot", async () => {
    const program = `
      import { ProgrammedFaults } from ${JSON.stringify(import.meta.resolve("./fault-points.ts"))};
      new ProgrammedFaults([{ point: "a", at: 1, effect: "kill" }]).hit("a");
      process.exit(0);`;
    const child = spawn(process.execPath, ["--input-type=module", "--eval", program], { stdio: "ignore" });
    const [, signal] = (await once(child, "exit")) as [number | null, string | null];
    assert.equal(signal, "SIGKILL");
  });

  it("refuse what they cannot read", () => {
    assert.deepEqual(parseFaults(" "), []);
    for (const text of ["a", "a@0=kill", "a@1=explode", "a@1=toString", "@1=kill", "a@x=kill"]) {
      assert.throws(
        () => parseFaults(text),
        (error) => GuildError.is(error, "invalid_argument"),
      );
    }
  });
});
