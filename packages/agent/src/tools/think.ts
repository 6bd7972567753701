import { Risk } from "@guildhall/protocol";
import { z } from "zod";

import { defineTool } from "./define-tool.ts";

const schema = z.strictObject({ thought: z.string() });

/** Room to reason that the log keeps; touches nothing. */
export const thinkTool = defineTool({
  name: "think",
  description: "Write down a thought (a plan, a hypothesis, what was learnt). Changes nothing.",
  schema,
  risk: () => Risk.LOW,
  resources: () => [],
  repeatable: () => true,
  execute: async () => ({ status: "ok", output: "Noted." }),
});
