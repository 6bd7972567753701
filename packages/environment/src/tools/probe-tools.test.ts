import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";

import { processSandbox } from "@guildhall/core/testing";

import { probeTools } from "./probe-tools.ts";

it("programs are asked for their versions, with the machine's helpers and with a shell alone, whatever letters they say", async (test) => {
  const workspace = realpathSync(mkdtempSync(join(tmpdir(), "guild-probe-")));
  const { sandbox, close } = processSandbox(workspace);
  test.after(() => {
    close();
    rmSync(workspace, { recursive: true });
  });
  const bin = join(workspace, "bin");
  mkdirSync(bin);
  const programs = {
    gittish: "echo 'gittish version 2.39.5'",
    tabbed: "printf 'tabbed\\t\\ttool v1.2.3\\nsecond line 9.9\\n'",
    mute: "exit 1",
    "said-on-error": "echo 'tool 4.5' >&2",
    endless: "printf 'without an end 7.8'",
  };
  for (const [name, text] of Object.entries(programs)) writeFileSync(join(bin, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  const exec = sandbox.exec.bind(sandbox);
  sandbox.exec = (spec) => exec({ ...spec, env: { PATH: `${bin}:/usr/bin:/bin` } });
  for (const pure of [false, true]) {
    const found = await probeTools(sandbox, [...Object.keys(programs), "nowhere"], { shell: "/bin/bash", pure });
    assert.deepEqual(
      found.map(({ name, version }) => [name, version]),
      [
        ["gittish", "2.39.5"],
        ["tabbed", "1.2.3"],
        ["mute", ""],
        ["said-on-error", "4.5"],
        ["endless", "7.8"],
      ],
      pure ? "with a shell alone" : "with helpers",
    );
  }
});
