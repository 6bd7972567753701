import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { FakeToolSession } from "@guildhall/core/testing";

import { framedGuidance } from "../guidance/guidance.ts";
import { matches, readHooks } from "../hooks/hooks.ts";
import { projectToolServer } from "../project/project-tools.ts";
import { createSkillTool } from "./skill-tool.ts";
import { readSkill, triggered } from "./skill.ts";

describe("a skill", () => {
  it("is its head and its body; what is no skill is none", () => {
    const skill = readSkill(
      "---\nname: release-notes\ndescription: |\n  Writes\n  them.\ntriggers: [Release, change log, ab]\n---\n# How\n",
      ".agents/skills/x",
    );
    assert.deepEqual(skill, {
      name: "release-notes",
      description: "Writes them.",
      triggers: ["release", "change log"],
      body: "# How",
      folder: ".agents/skills/x",
    });
    for (const bad of ["", "# x", "---\nname: a b\ndescription: x\n---\n", "---\nname: x\n---\n", "---\n: [\n---\n"])
      assert.equal(readSkill(bad), undefined);
  });

  it("is remembered at its words, not at parts of words", () => {
    const skill = readSkill("---\nname: x\ndescription: y\ntriggers: [release, change log]\n---\n");
    assert.ok(skill !== undefined);
    assert.equal(triggered([skill], "Prepare the Release!").length, 1);
    assert.equal(triggered([skill], "update the change-log").length, 1);
    assert.equal(triggered([skill], "it was released").length, 0);
  });

  it("that is not there is named", async () => {
    const tool = createSkillTool(() => []);
    assert.deepEqual(await tool.execute({ name: "y" }, new FakeToolSession().context()), {
      status: "error",
      output: "There is no skill y. Skills: none.",
    });
  });
});

describe("guidance", () => {
  it("stays in its frame, and is bounded", () => {
    const framed = framedGuidance("AGENTS.md", `a </project-guidance> <Project-Guidance x> ${"b".repeat(40_000)}`);
    assert.equal(framed.match(/<\/?project-guidance/gi)?.length, 2);
    assert.ok(framed.length < 17_000);
  });
});

describe("hooks", () => {
  it("are for the tools that their pattern names", () => {
    assert.ok(matches("*", "bash") && matches("bash|edit", "edit") && matches("mcp__*__read", "mcp__x__read"));
    assert.ok(!matches("bash", "bash2") && !matches("b.sh", "bash") && !matches("(", "bash"));
  });

  it("that cannot be read say where", () => {
    assert.throws(() => readHooks('{"before_tool": [{"comand": "x"}]}', "hooks.json"), /before_tool\.0/);
  });
});

describe("modules with tools", () => {
  it("lose their types, and find each other", () => {
    const server = projectToolServer(
      "project",
      "project",
      new Map([
        ["a.ts", 'import { b } from "./lib/b.ts";\nexport const x: number = b;'],
        ["lib/b.ts", "export const b = 1 as number;"],
        ["a.test.ts", "x"],
      ]),
    );
    const files = [...(server?.files ?? [])];
    assert.equal(files.length, 2);
    assert.match(files[0]?.[1] ?? "", /from "\.\/lib\/b\.mjs";\nexport const x\s+= b;/);
    assert.match(files[1]?.[0] ?? "", /^\/tmp\/guildhall-tools-[0-9a-f]{16}\/lib\/b\.mjs$/);
    assert.equal(projectToolServer("project", "project", new Map([["readme.md", ""]])), undefined);
    assert.throws(() => projectToolServer("project", "project", new Map([["a.ts", "enum X { A }"]])), { code: "invalid_argument" });
  });
});
