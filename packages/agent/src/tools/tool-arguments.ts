import type { Tool } from "@guildhall/core";
import { z } from "zod";

import { closest } from "./closest.ts";

export type ReadArguments = { ok: true; input: unknown } | { ok: false; problem: string };

/**
 * Turns the JSON text that a model wrote into a tool's validated input. A problem is put so that the model can mend it: which
 * argument, what was expected, what came. Mended here are only the slips that leave no doubt: `null` for an argument left out,
 * and a number, boolean, list or object written as a string. Text that is no complete JSON is refused, never guessed at.
 */
export function readArguments(tool: Tool, text: string): ReadArguments {
  let value: unknown;
  try {
    value = text.trim() === "" ? {} : JSON.parse(text);
  } catch (error) {
    return { ok: false, problem: `the arguments are not valid JSON (${message(error)}). Send the whole call again as one JSON object.` };
  }
  return validateArguments(tool, value);
}

/** The same for arguments that are parsed already. */
export function validateArguments(tool: Tool, value: unknown): ReadArguments {
  if (!isRecord(value)) return { ok: false, problem: `the arguments must be a JSON object, got ${describe(value)}.` };
  const danger = unsafe(value);
  if (danger !== undefined) return { ok: false, problem: danger };
  const first = tool.schema.safeParse(value);
  if (first.success) return { ok: true, input: first.data };
  const mended = mend(value, first.error.issues);
  if (mended !== undefined) {
    const second = tool.schema.safeParse(mended);
    if (second.success) return { ok: true, input: second.data };
  }
  const names = argumentNames(tool);
  const problems = first.error.issues.slice(0, 8).map((issue) => explain(issue, value, names));
  return { ok: false, problem: `${problems.join("; ")}. Arguments of ${tool.name}: ${names.join(", ") || "none"}.` };
}

/** The arguments' JSON Schema as it is sent to models: made from the zod schema, without what says nothing to them. */
export function argumentsSchema(tool: Tool): Record<string, unknown> {
  const { $schema: _, ...schema } = z.toJSONSchema(tool.schema, { io: "input", target: "draft-7" }) as Record<string, unknown>;
  return slim(schema) as Record<string, unknown>;
}

/** Bounds that zod adds to every whole number tell a model nothing. */
function slim(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(slim);
  if (!isRecord(value)) return value;
  const entries = Object.entries(value).filter(
    ([key, entry]) =>
      !(key === "maximum" && entry === Number.MAX_SAFE_INTEGER) && !(key === "minimum" && entry === Number.MIN_SAFE_INTEGER),
  );
  return Object.fromEntries(entries.map(([key, entry]) => [key, slim(entry)]));
}

function argumentNames(tool: Tool): string[] {
  return tool.schema instanceof z.ZodObject ? Object.keys(tool.schema.shape) : [];
}

type Issue = z.core.$ZodIssue;

function explain(issue: Issue, input: unknown, names: string[]): string {
  const path = issue.path.map(String).join(".");
  const at = path === "" ? "" : `\`${path}\`: `;
  const got = lookUp(input, issue.path);
  switch (issue.code) {
    case "unrecognized_keys": {
      const hints = issue.keys.map((key) => {
        const near = issue.path.length === 0 ? closest(key, names) : undefined;
        return `unknown argument \`${key}\`${near === undefined ? "" : ` (did you mean \`${near}\`?)`}`;
      });
      return at + hints.join(", ");
    }
    case "invalid_type":
      return got === undefined ? `${at}missing, expected ${issue.expected}` : `${at}expected ${issue.expected}, got ${describe(got)}`;
    case "invalid_value":
      return `${at}expected ${issue.values.map((value) => JSON.stringify(value)).join(" or ")}, got ${describe(got)}`;
    default:
      return `${at}${issue.message}${got === undefined ? "" : `, got ${describe(got)}`}`;
  }
}

function mend(value: Record<string, unknown>, issues: readonly Issue[]): Record<string, unknown> | undefined {
  const copy = structuredClone(value);
  let changed = false;
  for (const issue of issues) {
    const key = issue.path.at(-1);
    const parent = lookUp(copy, issue.path.slice(0, -1));
    if (key === undefined || !(isRecord(parent) || Array.isArray(parent))) continue;
    const holder = parent as Record<PropertyKey, unknown>;
    const got = holder[key];
    if (got === null && isRecord(parent)) {
      delete holder[key];
      changed = true;
    } else if (issue.code === "invalid_type" && typeof got === "string" && issue.expected !== "string") {
      const parsed = parseAs(issue.expected, got);
      if (parsed === undefined) continue;
      holder[key] = parsed;
      changed = true;
    }
  }
  return changed ? copy : undefined;
}

function parseAs(expected: string, text: string): unknown {
  try {
    const parsed: unknown = JSON.parse(text);
    if (unsafe(parsed) !== undefined) return undefined;
    const kind = Array.isArray(parsed) ? "array" : parsed === null ? "null" : typeof parsed;
    return kind === expected || (kind === "number" && expected === "int") ? parsed : undefined;
  } catch {
    // Not JSON: a plain string, which is what was refused; the caller reports that.
    return undefined;
  }
}

/** Deeper arguments mean nothing and would exhaust the stack of whoever walks them. */
const DEEPEST = 100;

/** `__proto__` is an own property after JSON.parse, and turns into more than data when it is copied by name. */
function unsafe(value: unknown): string | undefined {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > DEEPEST) return `the arguments are nested more than ${DEEPEST} deep.`;
    const next: unknown[] = [];
    for (const one of level) {
      if (isRecord(one) && Object.hasOwn(one, "__proto__")) return "`__proto__` is not allowed as a name in arguments.";
      if (typeof one === "object" && one !== null) for (const entry of Object.values(one)) next.push(entry);
    }
    level = next;
  }
  return undefined;
}

function lookUp(value: unknown, path: readonly PropertyKey[]): unknown {
  let here = value;
  for (const key of path) {
    if (typeof here !== "object" || here === null || !Object.hasOwn(here, key)) return undefined;
    here = (here as Record<PropertyKey, unknown>)[key];
  }
  return here;
}

function describe(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === "object") return "an object";
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
