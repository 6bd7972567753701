import { Risk } from "@guildhall/protocol";
import { z } from "zod";

import { defineTool } from "./define-tool.ts";

const schema = z.strictObject({
  summary: z.string().describe("For the person: what was done and how it was checked, or what stands in the way"),
  done: z.boolean().optional().describe("false: the goal could not be reached. Default true"),
});

/** Ends the turn; waits for every other call of the reply. */
export const finishTool = defineTool({
  name: "finish",
  description: "End the work: the goal is reached and verified, or cannot be reached.",
  schema,
  risk: () => Risk.LOW,
  resources: () => [{ name: "*", access: "write" }],
  repeatable: () => true,
  execute: async ({ summary, done = true }) => ({ status: "ok", output: summary, data: { done }, finish: { done, summary } }),
});
