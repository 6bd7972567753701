import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";

import { GuildError } from "../errors.ts";
import { readSettings } from "./read.ts";

function settingsFile(test: TestContext, text: string): string {
  const directory = mkdtempSync(join(tmpdir(), "guild-settings-"));
  test.after(() => rmSync(directory, { recursive: true }));
  const file = join(directory, "settings.toml");
  writeFileSync(file, text);
  return file;
}

describe("readSettings", () => {
  it("gives defaults when there is no file", () => {
    const { settings, effective } = readSettings("/nonexistent/settings.toml", {});
    assert.equal(settings.limits.max_steps, 500);
    assert.ok(effective.every((setting) => setting.source === "default" && setting.description !== ""));
  });

  it("says where each value comes from and masks secrets", (test) => {
    const file = settingsFile(test, '[limits]\nmax_steps = 7\n[keys]\nOPENAI_API_KEY = "sk-secret"\n');
    const { settings, effective } = readSettings(file, { DATABASE_URL: "postgres://u:p@h/d", GUILD_DAEMON_IDLE_MINUTES: "0.5" });
    const find = (key: string) => effective.find((setting) => setting.key === key);
    assert.equal(settings.daemon.idle_minutes, 0.5);
    assert.equal(settings.keys["OPENAI_API_KEY"], "sk-secret");
    assert.deepEqual([find("limits.max_steps")?.value, find("limits.max_steps")?.source], ["7", file]);
    assert.equal(find("daemon.idle_minutes")?.source, "environment");
    assert.deepEqual([find("database.url")?.value, find("database.url")?.source], ["********", "environment"]);
    assert.equal(find("keys.OPENAI_API_KEY")?.value, "********");
  });

  for (const [text, message, remedy] of [
    ["[limits]\nmax_step = 7", "there is no setting limits.max_step", "did you mean limits.max_steps?"],
    ["[limit]\nmax_steps = 7", "there is no setting limit", "did you mean limits?"],
    ['[limits]\nmax_steps = "many"', "the setting limits.max_steps is wrong", "guild config show"],
    ["[limits", "no valid TOML", "correct the line"],
  ] as const) {
    it(`refuses ${JSON.stringify(text)} in one line`, (test) => {
      const file = settingsFile(test, text);
      assert.throws(
        () => readSettings(file, {}),
        (error) =>
          GuildError.is(error, "invalid_argument") &&
          error.subject === file &&
          error.line.includes(message) &&
          error.line.includes(remedy) &&
          !error.line.includes("\n"),
      );
    });
  }
});

it("a variable sets a list as a TOML array, or with one entry a line", () => {
  const file = join(mkdtempSync(join(tmpdir(), "guild-settings-")), "settings.toml");
  const of = (value: string) => readSettings(file, { GUILD_ENVIRONMENT_NIX_SUBSTITUTERS: value }).settings.environment.nix_substituters;
  assert.deepEqual(of("https://one.example"), ["https://one.example"]);
  assert.deepEqual(of("https://one.example\n\n  https://two.example\n"), ["https://one.example", "https://two.example"]);
  assert.deepEqual(of('["https://one.example", "https://two.example"]'), ["https://one.example", "https://two.example"]);
  assert.throws(() => of("[https://one.example"), /the setting environment\.nix_substituters is wrong/);
});
