import type { Tool } from "@guildhall/core";
import { Risk } from "@guildhall/protocol";
import { z } from "zod";

import { defineTool } from "./define-tool.ts";
import { argumentsSchema } from "./tool-arguments.ts";

export const TOOL_SEARCH = "tool_search";

const schema = z.strictObject({
  query: z.string().min(1).describe("Names, or words for what is to be done"),
  limit: z.int().min(1).max(20).optional().describe("Default 5"),
});

/** Names in the description, of each source but our own, and their characters altogether; beyond this only their number. */
const NAMED = 12;
const NAMED_CHARACTERS = 250;
const SOURCES_CHARACTERS = 200;
/** Of schemas that one search opens, the first in any case: each stays in the prompt from then on. */
const OPENED_CHARACTERS = 24_000;
/** Of a description in what a search answers; the whole comes with the schema. */
const TOLD_CHARACTERS = 300;

/**
 * Finds tools whose schemas are not shown at first. What it finds is offered from the next request on. `hidden` are the tools when
 * it is asked; its description is made from `all`, so that its bytes change only with the set.
 */
export function createToolSearch(all: readonly Tool[], hidden: () => readonly Tool[]): Tool {
  return defineTool({
    name: TOOL_SEARCH,
    description: `Find further tools; those found can be called from then on. There are: ${inventory(all)}.`,
    schema,
    risk: () => Risk.LOW,
    resources: () => [],
    repeatable: () => true,
    async execute({ query, limit = 5 }) {
      const found = rankTools(hidden(), query).slice(0, limit);
      if (found.length === 0) return { status: "ok", output: "No tool fits. Try other words.", data: { opened: [] } };
      const opened = thatFit(found);
      const lines = opened.map((tool) => `${tool.name} (${tool.source}): ${told(tool.description)}`);
      const rest = found.slice(opened.length).map((tool) => tool.name);
      return {
        status: "ok",
        output: [
          ...lines,
          `[${opened.length === 1 ? "It" : "They"} can be called now]`,
          ...(rest.length === 0 ? [] : [`[Too large to come with them; search for the one that is wanted: ${rest.join(", ")}]`]),
        ].join("\n"),
        data: { opened: opened.map((tool) => tool.name) },
      };
    },
  }) as Tool;
}

/**
 * Tools by how well they fit a query, best first; those that fit not at all are left out. Words in names count most, then in
 * descriptions, then in names of arguments; rare words count more than common ones.
 */
export function rankTools(tools: readonly Tool[], query: string): Tool[] {
  const wanted = [...new Set(words(query))];
  const asked = new Set(query.split(/[\s,]+/));
  const documents = tools.map(indexed);
  const weights = wanted.map((word) => {
    const having = documents.filter((one) => one.has(word)).length;
    return Math.log(1 + tools.length / (1 + having));
  });
  return tools
    .map((tool, index) => {
      const document = documents[index];
      const score = wanted.reduce((sum, word, place) => sum + (document?.get(word) ?? 0) * (weights[place] ?? 0), 0);
      return { tool, score: asked.has(tool.name) ? score + 1_000 : score };
    })
    .filter(({ score }) => score > 0)
    .toSorted((a, b) => b.score - a.score || (a.tool.name < b.tool.name ? -1 : 1))
    .map(({ tool }) => tool);
}

const known = new WeakMap<Tool, Map<string, number>>();

/** Words of a tool with what each counts. */
function indexed(tool: Tool): Map<string, number> {
  const before = known.get(tool);
  if (before !== undefined) return before;
  const made = new Map<string, number>();
  const note = (text: string, weight: number): void => {
    for (const word of words(text)) made.set(word, Math.max(weight, made.get(word) ?? 0));
  };
  const properties = argumentsSchema(tool)["properties"];
  note(Object.keys(typeof properties === "object" && properties !== null ? properties : {}).join(" "), 1);
  note(tool.description, 2);
  note(tool.source, 1);
  note(tool.name, 5);
  known.set(tool, made);
  return made;
}

/** In lower case, `camelCase` and `snake_case` taken apart, plurals and endings cut: `listing` and `lists` are `list`. */
function words(text: string): string[] {
  const found =
    text
      .replaceAll(/([a-z0-9])([A-Z])/g, "$1 $2")
      .toLowerCase()
      .match(/[\p{L}\p{N}]+/gu) ?? [];
  return found.filter((word) => word.length > 1).map((word) => (word.length > 4 ? word.replace(/(ing|ies|es|ed|e|s)$/, "") : word));
}

/** The first, and those after it while their schemas are not too large together. */
function thatFit(found: readonly Tool[]): Tool[] {
  let room = OPENED_CHARACTERS;
  const over = found.findIndex((tool) => (room -= tool.description.length + JSON.stringify(argumentsSchema(tool)).length) < 0);
  return over === -1 ? [...found] : found.slice(0, Math.max(1, over));
}

function told(description: string): string {
  return description.length <= TOLD_CHARACTERS ? description : `${description.slice(0, TOLD_CHARACTERS - 1)}…`;
}

/** Our own by name, those of others by source: by name too while there is room for it. Bounded, whatever there is. */
function inventory(tools: readonly Tool[]): string {
  const sources = new Map<string, string[]>();
  for (const tool of tools) sources.set(tool.source, [...(sources.get(tool.source) ?? []), tool.name]);
  const own = sources.get("built-in") ?? [];
  sources.delete("built-in");
  let [names, places] = [NAMED_CHARACTERS, SOURCES_CHARACTERS];
  const parts: string[] = own.length === 0 ? [] : [own.join(", ")];
  let left = sources.size;
  for (const [source, all] of sources) {
    const words = all.join(", ");
    const named = all.length <= NAMED && words.length <= names;
    places -= source.length + 15;
    if (places < 0) break;
    if (named) names -= words.length;
    parts.push(`${named ? words : `${all.length} tools`} (${source})`);
    left -= 1;
  }
  if (left > 0) parts.push(`and more from ${left} other ${left === 1 ? "source" : "sources"}`);
  return parts.join("; ");
}
