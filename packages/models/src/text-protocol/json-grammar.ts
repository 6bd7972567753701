import { isRecord, type JsonSchema, literal } from "./gbnf-terms.ts";

/**
 * Rules of a GBNF grammar (llama.cpp) that let through nothing but JSON of given schemas, without a break of lines between its values. Properties come in
 * the schema's order, required ones first. What a grammar cannot say (references, patterns, sizes of numbers, properties without a name) is let through as
 * any JSON of its type: whoever gets the value validates it anyway.
 * See https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md.
 */
export class JsonGrammar {
  readonly #rules = new Map<string, string>(BASE);
  #count = 0;

  /** Name of the rule for a value of the schema. */
  value(schema: unknown): string {
    return this.#value(schema, 0);
  }

  /** All rules that were asked for, as text. */
  write(): string {
    return [...this.#rules].map(([name, body]) => `${name} ::= ${body}`).join("\n");
  }

  rule(body: string): string {
    const name = `r${++this.#count}`;
    this.#rules.set(name, body);
    return name;
  }

  #value(schema: unknown, depth: number): string {
    // Deeper than any tool's schema, or made by somebody to be deep.
    if (!isRecord(schema) || depth > DEEPEST || this.#count > MOST_RULES) return "value";
    if ("const" in schema) return this.rule(literal(JSON.stringify(schema["const"])));
    const { enum: values, anyOf, oneOf, type } = schema;
    if (Array.isArray(values) && values.length > 0) return this.rule(values.map((one) => literal(JSON.stringify(one))).join(" | "));
    const choice = Array.isArray(anyOf) ? anyOf : Array.isArray(oneOf) ? oneOf : undefined;
    if (choice !== undefined && choice.length > 0) return this.rule(choice.map((one) => this.#value(one, depth + 1)).join(" | "));
    if (Array.isArray(type)) return this.rule(type.map((one) => this.#value({ ...schema, type: one as unknown }, depth + 1)).join(" | "));
    switch (type) {
      case "string":
        return this.#string(schema);
      case "integer":
      case "number":
      case "boolean":
      case "null":
        return type;
      case "array":
        return this.#array(schema, depth);
      case "object":
        return this.#object(schema, depth);
      default:
        return isRecord(schema["properties"]) ? this.#object(schema, depth) : "value";
    }
  }

  #string({ minLength, maxLength }: JsonSchema): string {
    const [least, most] = [bound(minLength) ?? 0, bound(maxLength)];
    if (least === 0 && most === undefined) return "string";
    return this.rule(`"\\"" char{${least},${most === undefined ? "" : Math.max(least, most)}} "\\""`);
  }

  #array({ items, minItems, maxItems }: JsonSchema, depth: number): string {
    const one = this.#value(items, depth + 1);
    const [least, most] = [bound(minItems) ?? 0, bound(maxItems)];
    const more = `("," space ${one}){${Math.max(0, least - 1)},${most === undefined ? "" : Math.max(0, most - 1)}}`;
    if (most === 0) return this.rule(`"[]"`);
    return this.rule(least > 0 ? `"[" ${one} ${more} "]"` : `"[" (${one} ${more})? "]"`);
  }

  #object(schema: JsonSchema, depth: number): string {
    const properties = Object.entries(isRecord(schema["properties"]) ? schema["properties"] : {});
    if (properties.length === 0) return "object";
    const needed = new Set(Array.isArray(schema["required"]) ? schema["required"] : []);
    const pair = ([name, inner]: [string, unknown]): string =>
      this.rule(`${literal(JSON.stringify(name))} ":" space ${this.#value(inner, depth + 1)}`);
    const required = properties.filter(([name]) => needed.has(name)).map(pair);
    const optional = properties.filter(([name]) => !needed.has(name)).map(pair);
    const rest = optional.map((one) => `("," space ${one})?`);
    if (required.length > 0) return this.rule(`"{" ${[required.join(' "," space '), ...rest].join(" ")} "}"`);
    // Whichever comes first has no comma before it.
    const starts = optional.map((one, at) => [one, ...rest.slice(at + 1)].join(" "));
    return this.rule(`"{" (${starts.join(" | ")})? "}"`);
  }
}

const DEEPEST = 32;
const MOST_RULES = 4_000;

const BASE: ReadonlyArray<readonly [string, string]> = [
  ["space", '" "?'],
  ["char", String.raw`[^"\\\x7F\x00-\x1F] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4})`],
  ["string", String.raw`"\"" char* "\""`],
  ["integer", '"-"? ("0" | [1-9] [0-9]{0,15})'],
  ["number", 'integer ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,3})?'],
  ["boolean", '"true" | "false"'],
  ["null", '"null"'],
  ["member", 'string ":" space value'],
  ["object", '"{" (member ("," space member)*)? "}"'],
  ["array", '"[" (value ("," space value)*)? "]"'],
  ["value", "object | array | string | number | boolean | null"],
];

/** A grammar's counts are small: larger ones cost memory for nothing. */
function bound(value: unknown): number | undefined {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 2_000 ? value : undefined;
}
