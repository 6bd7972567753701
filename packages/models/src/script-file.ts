import { readFile } from "node:fs/promises";

import { GuildError } from "@guildhall/core";
import { z } from "zod";

const texts = z.union([z.string(), z.array(z.string())]).transform((value) => (Array.isArray(value) ? value : [value]));
const expressions = texts.transform((patterns, context) =>
  patterns.map((pattern) => {
    try {
      return new RegExp(pattern, "m");
    } catch {
      context.addIssue({ code: "custom", message: `${JSON.stringify(pattern)} is no regular expression` });
      return z.NEVER;
    }
  }),
);

/** What the last messages have to say; all that is given must hold. */
const conditionSchema = z
  .strictObject({
    contains: texts.optional().describe("Every one of these texts is in the last messages."),
    lacks: texts.optional().describe("None of these texts is in the last messages."),
    matches: expressions.optional().describe("Every one of these expressions (JavaScript, multi-line) matches in the last messages."),
    results: z
      .array(
        z.strictObject({
          tool: z.string().optional(),
          status: z.enum(["ok", "error"]).optional(),
          contains: texts.optional(),
          lacks: texts.optional(),
          matches: expressions.optional(),
        }),
      )
      .optional()
      .describe("The tool results since the last reply, in order: as many as listed."),
  })
  .describe("A condition on the messages since the model's last reply.");

const failureSchema = z.enum([
  "authentication",
  "not_found",
  "unreachable",
  "rate_limited",
  "overloaded",
  "bad_request",
  "context_overflow",
  "empty",
  "truncated",
  "malformed",
  "too_large",
  "cut",
  "cancelled",
  "script",
  "other",
]);

const usageSchema = z.strictObject({
  input: z.int().min(0).optional(),
  cached: z.int().min(0).optional(),
  cache_write: z.int().min(0).optional(),
  output: z.int().min(0).optional(),
  reasoning: z.int().min(0).optional(),
  cost_usd: z.number().min(0).optional(),
});

const replyShape = {
  say: z.string().optional(),
  reasoning: z.string().optional(),
  calls: z
    .array(z.strictObject({ tool: z.string().min(1), args: z.unknown().optional(), id: z.string().min(1).optional() }))
    .optional()
    .describe("args: a mapping, or a text that is sent as it is, valid JSON or not."),
  usage: usageSchema.optional(),
  delay_ms: z.number().min(0).optional(),
  finish: z.enum(["stop", "tool_calls", "length", "content_filter", "other"]).optional(),
};

const branchSchema = z.strictObject({ when: conditionSchema.optional(), ...replyShape });

const stepSchema = z.strictObject({
  ...replyShape,
  expect: conditionSchema.optional(),
  fail: failureSchema.optional().describe("Fails in this way; with a reply beside it, once and then replies."),
  times: z.int().min(1).optional().describe("How often it fails before the reply. Default 1."),
  choose: z.array(branchSchema).min(1).optional().describe("The first whose condition holds is the reply."),
  repeat: z
    .union([z.int().min(1), z.literal("forever")])
    .optional()
    .describe("How often this step is taken."),
});

const scriptSchema = z.union([
  z.array(stepSchema).transform((steps) => ({ steps })),
  z.strictObject({ description: z.string().optional(), steps: z.array(stepSchema) }),
]);

export type ScriptCondition = z.output<typeof conditionSchema>;
export type ScriptStep = z.output<typeof stepSchema>;
export type ScriptReply = z.output<typeof branchSchema>;
export type ScriptFailure = z.output<typeof failureSchema>;

/** One reply of a script, with the failures that come before it. */
export interface ScriptEntry {
  failures: ScriptFailure[];
  /** Undefined: failures at the end, after which nothing comes. */
  step: ScriptStep | undefined;
}

/** A script as a list of replies; `forever` is the index from which the last entry is said again and again. */
export interface Script {
  entries: ScriptEntry[];
  forever: boolean;
}

/** Reads a script, YAML or JSON. Throws `not_found`, `permission_denied`, or `invalid_argument` saying where it is wrong. */
export async function readScript(file: string): Promise<Script> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    throw unreadable(error, file, "script");
  }
  return parseScript(text, file);
}

/** The same from text; `name` goes into the errors. */
export async function parseScript(text: string, name: string): Promise<Script> {
  let value: unknown;
  try {
    // JSON is YAML too, but needs no parser loaded.
    value = /^\s*[[{]/.test(text) ? jsonOrUndefined(text) : undefined;
    value ??= (await import("yaml")).parse(text) as unknown;
  } catch (error) {
    throw new GuildError("invalid_argument", `the script is neither YAML nor JSON: ${firstLine(error)}`, { subject: name, cause: error });
  }
  const parsed = scriptSchema.safeParse(value);
  if (!parsed.success) {
    const issue = closest(parsed.error.issues);
    throw new GuildError("invalid_argument", `the script is wrong at ${issue.path}: ${issue.message}`, {
      subject: name,
      remedy: "docs/models.md describes the format",
    });
  }
  return unfolded(parsed.data.steps, name);
}

/** A file that cannot be read, as an error for people. */
export function unreadable(error: unknown, file: string, what: string): GuildError {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === "ENOENT")
    return new GuildError("not_found", `there is no ${what} ${file}`, {
      subject: file,
      remedy: "check the path; it is relative to the working directory",
      cause: error,
    });
  if (code === "EACCES" || code === "EPERM")
    return new GuildError("permission_denied", `the ${what} ${file} may not be read`, { subject: file, cause: error });
  return new GuildError("invalid_argument", `the ${what} ${file} cannot be read: ${firstLine(error)}`, { subject: file, cause: error });
}

function jsonOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    // It may be YAML in its flow style; that parser says better what is wrong.
    return undefined;
  }
}

function unfolded(steps: ScriptStep[], name: string): Script {
  const entries: ScriptEntry[] = [];
  let pending: ScriptFailure[] = [];
  let forever = false;
  for (const [index, step] of steps.entries()) {
    const where = `steps[${index}]`;
    const replies = step.say !== undefined || step.reasoning !== undefined || step.calls !== undefined || step.choose !== undefined;
    if (forever)
      throw new GuildError("invalid_argument", `the script is wrong at ${where}: nothing comes after a step that repeats forever`, {
        subject: name,
      });
    if (!replies && step.fail === undefined) {
      throw new GuildError("invalid_argument", `the script is wrong at ${where}: a step needs say, reasoning, calls, choose or fail`, {
        subject: name,
      });
    }
    if (step.fail !== undefined) pending.push(...Array.from({ length: step.times ?? 1 }, () => step.fail as ScriptFailure));
    if (!replies) continue;
    const times = step.repeat === undefined || step.repeat === "forever" ? 1 : step.repeat;
    for (let time = 0; time < times; time++) {
      entries.push({ failures: pending, step });
      pending = [];
    }
    forever = step.repeat === "forever";
  }
  if (pending.length > 0) entries.push({ failures: pending, step: undefined });
  return { entries, forever };
}

interface Issue {
  path: string;
  message: string;
}

/** The issue that lies deepest: with a choice of two shapes it is the one about the shape that was meant. */
function closest(issues: z.core.$ZodIssue[], prefix: PropertyKey[] = []): Issue {
  const all = issues.flatMap((issue): Array<{ depth: number; issue: Issue }> => {
    const path = [...prefix, ...issue.path];
    if (issue.code === "invalid_union" && issue.errors.length > 0) {
      const inner = issue.errors.map((errors) => ({ errors, depth: Math.max(0, ...errors.map((error) => error.path.length)) }));
      inner.sort((a, b) => b.depth - a.depth);
      return [{ depth: path.length + (inner[0]?.depth ?? 0), issue: closest(inner[0]?.errors ?? [], path) }];
    }
    return [{ depth: path.length, issue: { path: shown(path), message: issue.message } }];
  });
  all.sort((a, b) => b.depth - a.depth);
  return all[0]?.issue ?? { path: shown(prefix), message: "it is no script" };
}

function shown(path: PropertyKey[]): string {
  const text = path.map((part) => (typeof part === "number" ? `[${part}]` : `.${String(part)}`)).join("");
  return text === "" ? "its beginning" : text.replace(/^\./, "");
}

/** Without the colon after which the lines follow that a parser shows. */
function firstLine(error: unknown): string {
  return ((error instanceof Error ? error.message : String(error)).split("\n", 1)[0] ?? "").replace(/:$/, "");
}
