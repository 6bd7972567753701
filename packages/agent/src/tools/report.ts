import type { Tool } from "@guildhall/core";
import { Risk } from "@guildhall/protocol";
import { z } from "zod";

import { defineTool } from "./define-tool.ts";

/**
 * The tool by which an agent hands its result to who gave it the work; the schema is that one's. Throws `invalid_argument`-like faults of zod
 * for a JSON Schema that it cannot read.
 */
export function createReportTool(resultSchema: Record<string, unknown>): Tool {
  const result = z.fromJSONSchema(resultSchema);
  return defineTool({
    name: "report",
    description: "Hand over your result to who gave you this work, in the form that is wanted. Call finish after it.",
    schema: z.strictObject({ result }),
    risk: () => Risk.LOW,
    resources: () => [{ name: "report", access: "write" }],
    repeatable: () => true,
    execute: async ({ result: value }) => ({ status: "ok", output: "Handed over.", data: { result: value } }),
  });
}
