import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";

import { currentSettings } from "./current-settings.ts";

it("settings are read again when the file has come, changed or gone, and only then", (test) => {
  const directory = mkdtempSync(join(tmpdir(), "guild-settings-"));
  test.after(() => rmSync(directory, { recursive: true }));
  const file = join(directory, "settings.toml");
  const read = currentSettings(file, {});
  const steps = () => read().settings.limits.max_steps;
  assert.equal(steps(), 500);
  assert.equal(read(), read());
  writeFileSync(file, "[limits]\nmax_steps = 7\n");
  assert.equal(steps(), 7);
  assert.equal(read(), read());
  writeFileSync(file, "[limits]\nmax_steps = 10\n");
  assert.equal(steps(), 10);
  rmSync(file);
  assert.equal(steps(), 500);
});
