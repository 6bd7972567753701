import type { Tool } from "@guildhall/core";
import { Risk } from "@guildhall/protocol";
import { z } from "zod";

import type { Skill } from "./skill.ts";

const schema = z.strictObject({ name: z.string().min(1).describe("Name of the skill") });

/** Gives the instructions of a skill; `skills` are those there are when it is asked. */
export function createSkillTool(skills: () => readonly Skill[]): Tool {
  const tool: Tool<typeof schema> = {
    name: "skill",
    description: "Read the instructions of one of the skills listed in the prompt, before doing what it is for.",
    schema,
    source: "skills",
    risk: () => Risk.LOW,
    resources: () => [],
    repeatable: () => true,
    async execute({ name }) {
      const all = skills();
      const found = all.find((one) => one.name === name);
      if (found === undefined)
        return { status: "error", output: `There is no skill ${name}. Skills: ${all.map((one) => one.name).join(", ") || "none"}.` };
      const place = found.folder === undefined ? "" : `[files of this skill: ${found.folder}]\n`;
      return { status: "ok", output: `${place}${found.body}` };
    },
  };
  return tool;
}
