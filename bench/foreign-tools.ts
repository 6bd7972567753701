/** What tools of other sources cost a session at each step: the list as a model is offered it, and asking its parts, with nothing changed. */
import { createBuiltInTools, JoinedTools, offerTools, ToolSet } from "@guildhall/agent";
import { ElicitationDesk, McpConnection, mcpTools } from "@guildhall/extensions";

import { type Figure, table } from "./table.ts";

const connection = new McpConnection({
  name: "many",
  timeoutMs: 1_000,
  version: "0",
  link: { pipe: true, open: () => Promise.reject(new RangeError("never opened")) },
});

function manyTools(count: number) {
  const listed = Array.from({ length: count }, (_, index) => ({
    name: `do_${index}`,
    description: `Does the thing number ${index} of many, with all its fields and relations, as the remote service documents it.`,
    inputSchema: {
      type: "object" as const,
      properties: { owner: { type: "string", description: "Account that owns it" }, labels: { type: "array", items: { type: "string" } } },
      required: ["owner"],
    },
  }));
  return mcpTools(listed, { connection, desk: new ElicitationDesk(), remote: false }).tools;
}

const figures: Figure[] = [0, 10, 100, 500].flatMap((count) => {
  const began = performance.now();
  const tools = manyTools(count);
  const made = performance.now() - began;
  const base = new ToolSet(createBuiltInTools({ workspace: "/w" }));
  const joined = new JoinedTools({ base, parts: [{ name: "many", tools: () => tools }] });
  const first = performance.now();
  let offered = offerTools(joined);
  const joining = performance.now() - first;
  const steps = 2_000;
  const start = performance.now();
  for (let step = 0; step < steps; step += 1) offered = offerTools(joined);
  const each = (performance.now() - start) / steps;
  return [
    { name: `${count} tools: made of their schemas`, value: made, unit: "ms" },
    { name: `${count} tools: the step at which they join`, value: joining, unit: "ms" },
    { name: `${count} tools: each further step`, value: each * 1000, unit: "µs", goal: "≤ 10,000" },
    // JSON in English takes about four characters a token, and never less than three.
    {
      name: `${count} tools: of the prompt, at most`,
      value: Math.ceil(JSON.stringify(offered).length / 3),
      unit: "tokens",
      ...(count === 500 ? { goal: "< 2,000" } : {}),
    },
  ];
});
process.stdout.write(`${table("Tools of other sources", figures)}\n`);
