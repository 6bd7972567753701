/**
 * What tools of other sources cost a session: the list as a model is offered it, asking its parts, with nothing changed; and whole steps of the loop,
 * with a model and a tool that answer at once.
 */
import { createBuiltInTools, JoinedTools, offerTools, ToolSet } from "@guildhall/agent";
import { ElicitationDesk, McpConnection, mcpTools } from "@guildhall/extensions";

import { scriptedSession } from "./scripted-session.ts";
import { percentile, type Figure, table } from "./table.ts";

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

const STEPS = 200;
const ROUNDS = 5;

/** Milliseconds of a step of the loop, of so many tools each the middle of several sessions in turn. */
async function wholeSteps(counts: readonly number[]): Promise<Map<number, number>> {
  const times = new Map<number, number[]>(counts.map((count) => [count, []]));
  // The first round warms up, and is not counted.
  for (let round = 0; round <= ROUNDS; round += 1) {
    for (const [count, own] of times) {
      const many = manyTools(count);
      const built = createBuiltInTools({ workspace: "/w" }).filter(({ name }) => name !== "run");
      const start = performance.now();
      await scriptedSession({
        steps: STEPS,
        contextTokens: 200_000,
        output: (step) => `step ${step}`,
        tools: (tool) => new JoinedTools({ base: new ToolSet([...built, tool]), parts: [{ name: "many", tools: () => many }] }),
      });
      if (round > 0) own.push((performance.now() - start) / STEPS);
    }
  }
  return new Map([...times].map(([count, all]) => [count, percentile(all, 50)]));
}

const COUNTS = [0, 10, 100, 500];
const steps = await wholeSteps(COUNTS);
const figures: Figure[] = COUNTS.flatMap((count) => {
  const began = performance.now();
  const tools = manyTools(count);
  const made = performance.now() - began;
  const base = new ToolSet(createBuiltInTools({ workspace: "/w" }));
  const joined = new JoinedTools({ base, parts: [{ name: "many", tools: () => tools }] });
  const first = performance.now();
  let offered = offerTools(joined);
  const joining = performance.now() - first;
  const asked = 2_000;
  const start = performance.now();
  for (let step = 0; step < asked; step += 1) offered = offerTools(joined);
  const each = (performance.now() - start) / asked;
  return [
    { name: `${count} tools: made of their schemas`, value: made, unit: "ms" },
    { name: `${count} tools: the step at which they join`, value: joining, unit: "ms" },
    { name: `${count} tools: the list at each further step`, value: each * 1000, unit: "µs" },
    { name: `${count} tools: a whole step of the loop, over a log in memory`, value: steps.get(count) ?? 0, unit: "ms", goal: "≤ 10" },
    // JSON in English takes about four characters a token, and never less than three.
    {
      name: `${count} tools: of the prompt, at most`,
      value: Math.ceil(JSON.stringify(offered).length / 3),
      unit: "tokens",
      goal: "< 2,000",
    },
  ];
});
process.stdout.write(`${table("Tools of other sources", figures)}\n`);
