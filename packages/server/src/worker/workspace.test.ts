import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";

import { type ErrorCode, GuildError } from "@guildhall/core";

import { checkWorkspace } from "./workspace.ts";

function temporary(test: TestContext): string {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), "guild-workspace-")));
  test.after(() => rmSync(directory, { recursive: true }));
  return directory;
}

function refused(path: string, code: ErrorCode): void {
  assert.throws(
    () => checkWorkspace(path),
    (error) => GuildError.is(error, code) && error.subject === path && error.remedy !== undefined,
  );
}

describe("checkWorkspace", () => {
  it("gives the real path, so that two names of a directory are one workspace", (test) => {
    const directory = temporary(test);
    mkdirSync(join(directory, "real"));
    symlinkSync("real", join(directory, "link"));
    assert.equal(checkWorkspace(join(directory, "link")), join(directory, "real"));
  });

  it("refuses what is no directory of a project", (test) => {
    const directory = temporary(test);
    writeFileSync(join(directory, "file"), "");
    refused("relative", "invalid_argument");
    refused(join(directory, "missing"), "not_found");
    refused(join(directory, "file"), "invalid_argument");
    refused("/", "invalid_argument");
    refused("/etc", "invalid_argument");
  });
});
