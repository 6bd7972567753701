import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";

import { GuildError } from "@guildhall/core";

import { takeLock } from "./lock.ts";

function lockFile(test: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "guild-lock-"));
  test.after(() => rmSync(directory, { recursive: true }));
  return join(directory, "daemon.lock");
}

/** A process of its own that takes the lock, says so, and holds it until it is killed. */
async function otherHolder(test: TestContext, file: string) {
  const program = `
    import { takeLock } from ${JSON.stringify(new URL("./lock.ts", import.meta.url).href)};
    const lock = takeLock(${JSON.stringify(file)});
    console.log("taken");
    setInterval(() => lock, 1000);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], { stdio: ["ignore", "pipe", "inherit"] });
  test.after(() => child.kill("SIGKILL"));
  await once(child.stdout, "data");
  return child;
}

describe("takeLock", () => {
  it("refuses a second holder until the first releases it", (test) => {
    const file = lockFile(test);
    const first = takeLock(file);
    assert.throws(
      () => takeLock(file),
      (error) => GuildError.is(error, "already_exists"),
    );
    first.release();
    takeLock(file).release();
  });

  it("is free again when its holder was killed", async (test) => {
    const file = lockFile(test);
    const holder = await otherHolder(test, file);
    assert.throws(
      () => takeLock(file),
      (error) => GuildError.is(error, "already_exists"),
    );
    holder.kill("SIGKILL");
    await once(holder, "exit");
    takeLock(file).release();
  });
});
