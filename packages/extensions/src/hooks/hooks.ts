import { GuildError } from "@guildhall/core";
import { z } from "zod";

const hook = z.strictObject({
  /** Names of tools, `*` for any text; default all. */
  match: z.string().default("*"),
  command: z.string().min(1),
  timeout_s: z.number().positive().max(600).default(30),
});
const fileSchema = z.strictObject({
  before_tool: z.array(hook).max(50).default([]),
  after_tool: z.array(hook).max(50).default([]),
  before_turn: z
    .array(hook.omit({ match: true }))
    .max(50)
    .default([]),
  after_turn: z
    .array(hook.omit({ match: true }))
    .max(50)
    .default([]),
});

/** What is run before and after tools and turns. */
export type Hooks = z.output<typeof fileSchema>;

/** Reads a hooks file. Throws `invalid_argument` with the place. */
export function readHooks(text: string, file: string): Hooks {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new GuildError("invalid_argument", `no valid JSON: ${error instanceof Error ? error.message : String(error)}`, { subject: file });
  }
  const read = fileSchema.safeParse(value);
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  throw new GuildError("invalid_argument", `${(issue?.path ?? []).join(".") || "the file"}: ${issue?.message ?? "not understood"}`, {
    subject: file,
    remedy: 'write {"before_tool": [{"match": "bash", "command": "…"}]}',
  });
}

/** Whether a hook is for this tool. */
export function matches(pattern: string, tool: string): boolean {
  return pattern.split("|").some((one) => {
    const parts = one
      .trim()
      .split("*")
      .map((part) => part.replaceAll(/[^A-Za-z0-9_-]/g, String.raw`\$&`));
    return new RegExp(`^${parts.join("[^]*")}$`).test(tool);
  });
}
