import type { ToolSchema } from "@guildhall/protocol";

import { literal } from "./gbnf-terms.ts";
import { JsonGrammar } from "./json-grammar.ts";

/**
 * GBNF grammar of a whole reply of the form `tags`: anything said, then calls of the offered tools whose arguments fit their schemas. What is said holds no
 * beginning of a call, so that whatever a model writes under it is read as it was meant. Pure.
 */
export function tagsGrammar(tools: readonly ToolSchema[]): string {
  const grammar = new JsonGrammar();
  const calls = tools.map((tool) => {
    const input = grammar.value(JSON.parse(tool.schema));
    return grammar.rule(`${literal(`<call tool="${tool.name}">\n`)} ${input} "\\n</call>"`);
  });
  const call = grammar.rule(calls.join(" | "));
  // Text up to the first `<call `; a run of `<` is one.
  const said = grammar.rule(`([^<] | "<"+ ([^<c] | "c" ([^<a] | "a" ([^<l] | "l" ([^<l] | "l" [^< ])))))*`);
  return `root ::= ${said} (${call} ("\\n\\n" ${call})*)?\n${grammar.write()}`;
}

/** GBNF grammar of JSON that fits a schema. Pure. */
export function schemaGrammar(schema: unknown): string {
  const grammar = new JsonGrammar();
  return `root ::= ${grammar.value(schema)}\n${grammar.write()}`;
}
