import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { systemClock } from "@guildhall/core";
import { request, user } from "@guildhall/core/testing";

import { createModelProvider } from "./provider.ts";
import { vendorNames } from "./vendors.ts";

describe("docs/models.md", () => {
  let directory: string;
  let page: string;
  const provider = createModelProvider({ clock: systemClock(), random: Math.random });
  const signal = new AbortController().signal;
  const example = (language: string): string => new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, "ms").exec(page)?.[1] ?? "";
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "guildhall-models-"));
    page = await readFile(new URL("../../../docs/models.md", import.meta.url), "utf8");
  });
  after(() => rm(directory, { recursive: true }));

  it("shows a script that runs", async () => {
    await writeFile(join(directory, "example.yaml"), example("yaml"));
    const model = await provider.open({ spec: "scripted:example.yaml", directory, credentials: {} });
    const said: string[] = [];
    for (const told of ["Mend it.", "not ok 1 - adds", "edited", "# pass 3\n# fail 0"]) {
      const { toolCalls } = await model.generate(request([user(told)]), signal);
      said.push(toolCalls.map((call) => call.tool).join());
    }
    assert.deepEqual(said, ["bash", "edit", "bash", "finish"]);
  });

  it("shows a module that runs", async () => {
    await writeFile(join(directory, "house-model.mjs"), example("js"));
    const model = await provider.open({ spec: "module:./house-model.mjs#small", directory, credentials: {} });
    assert.equal((await model.generate(request([user("hello")]), signal)).text, "You said: hello");
  });

  it("names every provider", () => {
    for (const name of vendorNames()) assert.ok(page.includes(`| \`${name}/`), name);
  });
});
