import { z } from "zod";

/** What a stranger's JSON Schema of arguments is good for. */
export type ForeignSchema = { schema: z.ZodType; problem?: undefined } | { schema?: undefined; problem: string };

/** Bounds of one schema: bytes of its JSON, nesting, and places once its references are written out. */
const MOST_BYTES = 64 * 1024;
const DEEPEST = 40;
const MOST_PLACES = 2_000;

/**
 * The JSON Schema of a tool that is not ours (MCP, OpenAPI, a project), as the zod schema that the Tool port wants. Models are shown it as it
 * came. Arguments are checked against what of it can be checked in bounded time: regular expressions, formats and conditions are left to the
 * tool itself, references are written out to a bounded number of places, and defaults are not filled in. What is no schema of one
 * object gives the `problem` in words.
 */
export function readForeignSchema(given: unknown): ForeignSchema {
  const problem = objectProblem(given);
  if (problem !== undefined) return { problem };
  const shown = given as Record<string, unknown>;
  let schema: z.ZodType;
  try {
    const checked = new Expansion(shown).root();
    schema = z.fromJSONSchema(checked as Parameters<typeof z.fromJSONSchema>[0], { registry: z.registry() });
  } catch (error) {
    return { problem: `its schema cannot be read: ${error instanceof Error ? error.message : String(error)}` };
  }
  const { $schema: _, ...rest } = shown;
  (schema._zod as { toJSONSchema?: () => unknown }).toJSONSchema = () => structuredClone(rest);
  return { schema };
}

function objectProblem(given: unknown): string | undefined {
  if (!isRecord(given)) return "its schema is no object";
  if (given["type"] !== "object") return 'the type of its schema is not "object"';
  const depth = depthOf(given);
  if (depth > DEEPEST) return `its schema is nested more than ${DEEPEST} deep`;
  const bytes = Buffer.byteLength(JSON.stringify(given));
  if (bytes > MOST_BYTES) return `its schema has ${bytes} bytes, more than ${MOST_BYTES}`;
  return undefined;
}

/** Level by level, so that a depth of millions costs no stack; one more than allowed is enough to know. */
function depthOf(value: unknown): number {
  let depth = 0;
  for (let level: unknown[] = [value]; level.length > 0 && depth <= DEEPEST; depth += 1) {
    level = level.flatMap((one) => (typeof one === "object" && one !== null ? (Object.values(one) as unknown[]) : []));
  }
  return depth;
}

/** Keywords that are checked as they are; all others are left aside, or handled one by one below. */
const PLAIN = [
  "required",
  "enum",
  "const",
  "minimum",
  "maximum",
  "exclusiveMinimum",
  "exclusiveMaximum",
  "multipleOf",
  "minLength",
  "maxLength",
  "minItems",
  "maxItems",
] as const;
const TYPES = new Set(["object", "array", "string", "number", "integer", "boolean", "null"]);

/** A schema without references: each is replaced by what it points to, as often as the bounds allow, then by “anything”. */
class Expansion {
  readonly #whole: Record<string, unknown>;
  #places = 0;

  constructor(whole: Record<string, unknown>) {
    this.#whole = whole;
  }

  root(): unknown {
    return this.#expand(this.#whole, 0);
  }

  #expand(schema: unknown, depth: number): unknown {
    this.#places += 1;
    if (!isRecord(schema) || this.#places > MOST_PLACES || depth > DEEPEST) return schema === false ? false : {};
    const reference = schema["$ref"];
    if (typeof reference === "string") return this.#expand(lookUp(this.#whole, reference), depth + 1);
    const made: Record<string, unknown> = {};
    const next = (one: unknown): unknown => this.#expand(one, depth + 1);
    const types = [schema["type"]].flat().filter((type) => typeof type === "string" && TYPES.has(type));
    if (types.length > 0) made["type"] = types.length === 1 ? types[0] : types;
    for (const key of PLAIN) if (schema[key] !== undefined) made[key] = schema[key];
    if (isRecord(schema["properties"])) {
      const entries = Object.entries(schema["properties"]).filter(([name]) => name !== "__proto__");
      made["properties"] = Object.fromEntries(entries.map(([name, one]) => [name, next(one)]));
    }
    const extra = schema["additionalProperties"];
    if (extra !== undefined && schema["patternProperties"] === undefined)
      made["additionalProperties"] = isRecord(extra) ? next(extra) : extra;
    if (isRecord(schema["items"])) made["items"] = next(schema["items"]);
    if (Array.isArray(schema["prefixItems"])) made["prefixItems"] = schema["prefixItems"].map(next);
    for (const key of ["anyOf", "oneOf", "allOf"]) {
      const choices = schema[key];
      // Which one of several fits cannot be told where parts of them were left aside.
      if (Array.isArray(choices) && choices.length > 0) made[key === "oneOf" ? "anyOf" : key] = choices.map(next);
    }
    if (schema["nullable"] === true && types.length > 0) made["type"] = [...types, "null"];
    return made;
  }
}

/** What `#/$defs/name` and the like point to; anything, where they point to nothing in this document. */
function lookUp(whole: unknown, reference: string): unknown {
  if (!reference.startsWith("#")) return {};
  let here = whole;
  for (const part of reference.slice(1).split("/").slice(1)) {
    const name = decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~");
    if (typeof here !== "object" || here === null || !Object.hasOwn(here, name)) return {};
    here = (here as Record<string, unknown>)[name];
  }
  return here;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
