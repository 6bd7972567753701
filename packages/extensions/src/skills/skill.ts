import { parse as parseYaml } from "yaml";

import { oneLine } from "../foreign/line.ts";

/** A skill: when it helps, said in a line, and what to do then, in its file. */
export interface Skill {
  name: string;
  description: string;
  /** Words of a person at which the agent is reminded of it. */
  triggers: string[];
  body: string;
  /** Its folder as the agent reaches it; undefined: it lies outside of the workspace. */
  folder?: string;
}

/** Longest body, characters. */
const MOST_BODY = 24_000;

/** Reads a SKILL.md (agentskills.io): YAML between `---` lines with name and description, then Markdown. Undefined: it is none. */
export function readSkill(text: string, folder?: string): Skill | undefined {
  const found = /^---\r?\n(.*?)\r?\n---\r?\n?(.*)$/s.exec(text);
  if (found === null) return undefined;
  let head: unknown;
  try {
    head = parseYaml(found[1] ?? "", { maxAliasCount: 10 });
  } catch {
    // Not written as it should be: no skill.
    return undefined;
  }
  const { name, description, triggers, metadata } = (head ?? {}) as {
    name?: unknown;
    description?: unknown;
    triggers?: unknown;
    metadata?: { triggers?: unknown };
  };
  if (typeof name !== "string" || !/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name) || typeof description !== "string") return undefined;
  const words = triggers ?? metadata?.triggers;
  return {
    name,
    description: oneLine(description, 300),
    triggers: (Array.isArray(words) ? words : [])
      .filter((one) => typeof one === "string" && one.length > 2)
      .map((one: string) => one.toLowerCase()),
    body: (found[2] ?? "").trim().slice(0, MOST_BODY),
    ...(folder === undefined ? {} : { folder }),
  };
}

/** Those whose trigger stands as a word in the text. */
export function triggered(skills: readonly Skill[], text: string): Skill[] {
  const words = ` ${text.toLowerCase().replaceAll(/[^\p{L}\p{N}]+/gu, " ")} `;
  return skills.filter(({ triggers }) => triggers.some((one) => words.includes(` ${one.replaceAll(/[^\p{L}\p{N}]+/gu, " ").trim()} `)));
}
