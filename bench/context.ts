import type { ModelRequest } from "@guildhall/core";

import { scriptedSession } from "./scripted-session.ts";
import { type Figure, table } from "./table.ts";

/** What a model is shown over long sessions: growth, how much of it a provider's cache holds, and what outlives summaries. Prints tables; asserts nothing. */
await growth(200);
for (const compression of [10, 50]) await facts(compression);

/** A session of so many steps with outputs like a test run's, in a context of ordinary size. */
async function growth(steps: number): Promise<void> {
  const requests = await scriptedSession({
    steps,
    contextTokens: 200_000,
    output: (step) => `step ${step}\n${"ok 1 - a test that passes\n".repeat(40)}`,
  });
  const sizes = requests.map(bytes);
  let shared = 0;
  for (const [place, request] of requests.entries()) shared += place === 0 ? 0 : sharedBytes(requests[place - 1], request);
  const all = sizes.reduce((sum, size) => sum + size, 0);
  const longest = Math.max(...sizes);
  const own = (sizes[9] ?? 0) - (sizes[8] ?? 0) - contentBytes(requests[8], requests[9]);
  const figures: Figure[] = [
    { name: "first prompt", value: sizes[0] ?? 0, unit: "B" },
    { name: `prompt after ${steps} steps`, value: sizes.at(-1) ?? 0, unit: "B" },
    { name: "longest prompt", value: longest, unit: "B" },
    { name: "a step brings of our own, beside call and output", value: own, unit: "B", goal: "≤ 300 B" },
    { name: "share of all prompts that was sent before, byte for byte", value: (100 * shared) / all, unit: "%", goal: "≥ 90 %" },
  ];
  console.log(table(`${steps} steps`, figures));
}

/** Facts in early outputs; a script that copies what is marked stands for the model that summarises. */
async function facts(compression: number): Promise<void> {
  const planted = Array.from({ length: 20 }, (_, place) => `FACT ${place}: port ${4_000 + place * 7}`);
  const contextTokens = 12_000;
  const room = contextTokens * 3.5;
  const size = 3_000;
  const steps = Math.ceil((room * compression) / size);
  const output = (step: number): string =>
    `${planted[step] ?? ""}\n${"x".repeat(60)}\n`.padEnd(size, "output of a command that nobody needs any more\n");
  for (const summaries of [true, false]) {
    const requests = await scriptedSession({ steps, contextTokens, output, ...(summaries ? { summarise: copyFacts } : {}) });
    const last =
      requests
        .at(-1)
        ?.messages.map((message) => message.text)
        .join("\n") ?? "";
    const kept = planted.filter((fact) => last.includes(fact)).length;
    const figures: Figure[] = [
      { name: "history", value: steps * size, unit: "B" },
      { name: "last prompt", value: bytes(requests.at(-1)), unit: "B" },
      { name: "planted facts that it still holds", value: (100 * kept) / planted.length, unit: "%" },
    ];
    console.log(
      table(`${compression} × compression, ${summaries ? "a script that copies marked lines summarises" : "by rule alone"}`, figures),
    );
  }
}

function copyFacts({ messages }: ModelRequest): string {
  const found = messages.flatMap((message) => message.text.match(/FACT \d+: [^\n]+/g) ?? []);
  return [...new Set(found)].join("\n");
}

function written(request: ModelRequest | undefined): string[] {
  return (request?.messages ?? []).map((message) =>
    JSON.stringify([message.role, message.text, message.toolCalls.map((call) => call.arguments)]),
  );
}

function bytes(request: ModelRequest | undefined): number {
  return written(request).reduce((sum, text) => sum + Buffer.byteLength(text), 0);
}

/** Bytes of the messages that both begin with. */
function sharedBytes(before: ModelRequest | undefined, now: ModelRequest | undefined): number {
  const [one, other] = [written(before), written(now)];
  const same = other.findIndex((text, place) => text !== one[place]);
  return other.slice(0, same === -1 ? other.length : same).reduce((sum, text) => sum + Buffer.byteLength(text), 0);
}

/** What the step itself brought: its text, its call and its output. */
function contentBytes(before: ModelRequest | undefined, now: ModelRequest | undefined): number {
  const fresh = now?.messages.slice(before?.messages.length ?? 0) ?? [];
  return fresh.reduce(
    (sum, message) =>
      sum + Buffer.byteLength(message.text) + message.toolCalls.reduce((all, call) => all + Buffer.byteLength(call.arguments), 0),
    0,
  );
}
