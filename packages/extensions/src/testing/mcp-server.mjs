/** An MCP server over standard input and output, by hand, that does what its first argument says: `good`, `dies`, `hangs`, `floods`, `lies`, … */
import { createInterface } from "node:readline";

const manner = process.argv[2] ?? "good";
const send = (message) => process.stdout.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
const text = (words) => ({ content: [{ type: "text", text: words }] });
const object = (properties, required = Object.keys(properties)) => ({ type: "object", properties, required });
const number = { type: "number" };

const tools = [
  { name: "add", description: "Add two numbers.", inputSchema: object({ a: number, b: number }), annotations: { readOnlyHint: true } },
  { name: "slow", description: "Report progress, then end.", inputSchema: object({}) },
  { name: "picture", description: "A picture.", inputSchema: object({}) },
  { name: "ask", description: "Ask the person.", inputSchema: object({}) },
  { name: "sample", description: "Let a model write.", inputSchema: object({}) },
  { name: "grow", description: "Give the server a further tool.", inputSchema: object({}) },
  { name: "never", description: "Never ends.", inputSchema: object({}) },
  { name: "die", description: "Ends the server.", inputSchema: object({}) },
  { name: "huge", description: "A megabyte of text.", inputSchema: object({}) },
  { name: "gigabyte", description: "A result of 1 GB.", inputSchema: object({}) },
  { name: "stuck", description: "Never ends, and nothing else is heard meanwhile.", inputSchema: object({}) },
  { name: "flood", description: "Notifications without end.", inputSchema: object({}) },
  { name: "typed", description: "A structured result.", inputSchema: object({}), outputSchema: object({ n: number }) },
  { name: "where", description: "Directory, environment and roots.", inputSchema: object({}) },
];
if (manner === "lies") {
  tools.push(
    { name: "no schema", inputSchema: "none" },
    { name: "list", inputSchema: { type: "array" } },
    { inputSchema: { type: "object" } },
  );
  tools.push({
    name: "ill\u0000named tool / x",
    description: "d".repeat(100_000),
    inputSchema: { type: "object", properties: { p: { pattern: "(a+)+$", $ref: "#/no/where" } } },
  });
}
if (manner === "many")
  for (let n = 0; n < 500; n += 1)
    tools.push({
      name: `many_${n}`,
      description: `The tool number ${n}, which does something with the thing number ${n} of many.`,
      inputSchema: object({ path: { type: "string", description: "where" }, n: number }),
    });
if (manner === "dies") {
  process.stderr.write("no database to connect to\n");
  process.exit(3);
}
if (manner === "garbage") process.stdout.write("Welcome to my server!\n");

const wakes = new Promise((resolve) => void setTimeout(resolve, manner === "wakes" ? 6_000 : 0));
const waiting = new Map();
let asked = 0;
const ask = (method, params) =>
  new Promise((resolve) => {
    const id = `s${(asked += 1)}`;
    waiting.set(id, resolve);
    send({ id, method, params });
  });

const calls = {
  add: ({ a, b }) => text(String(a + b)),
  picture: () => ({ content: [{ type: "image", mimeType: "image/png", data: "iVBORw0KGgo=" }] }),
  ask: async () => {
    const answer = await ask("elicitation/create", {
      mode: "form",
      message: "Which colour?",
      requestedSchema: object({ colour: { type: "string" }, shade: { type: "string", default: "dark" } }, ["colour"]),
    });
    return text(JSON.stringify(answer));
  },
  sample: async () => {
    const messages = [{ role: "user", content: { type: "text", text: "Name a colour." } }];
    const answer = await ask("sampling/createMessage", { messages, systemPrompt: "One word.", maxTokens: 50 });
    return text(JSON.stringify(answer));
  },
  grow: () => {
    tools.push({ name: "grown", description: "Came later.", inputSchema: object({}) });
    send({ method: "notifications/tools/list_changed" });
    return text("grown");
  },
  never: () => new Promise(() => undefined),
  die: () => {
    process.stderr.write("out of luck\n");
    process.exit(7);
  },
  huge: () => text("x".repeat(1_000_000)),
  gigabyte: async () => {
    process.stdout.write('{"jsonrpc":"2.0","id":1,"result":"');
    const chunk = Buffer.alloc(1024 * 1024, "x");
    for (let n = 0; n < 1024; n += 1) await new Promise((resolve) => void process.stdout.write(chunk, resolve));
    return text("too late");
  },
  stuck: () => {
    for (;;);
  },
  flood: () => {
    for (let n = 0; n < 5_000; n += 1) send({ method: "notifications/message", params: { level: "info", data: "and on" } });
    return new Promise(() => undefined);
  },
  typed: () => ({ ...text("n"), structuredContent: { n: "not a number" } }),
  where: async () => text(JSON.stringify({ cwd: process.cwd(), env: process.env.SAID, roots: await ask("roots/list", {}) })),
  slow: (_, meta) => {
    for (const progress of [1, 2])
      send({ method: "notifications/progress", params: { progressToken: meta?.progressToken, progress, total: 2, message: "at it" } });
    return text("done");
  },
};

createInterface({ input: process.stdin }).on("line", async (line) => {
  const { id, method, params, result, error } = JSON.parse(line);
  if (method === undefined) return void waiting.get(id)?.(result ?? { refused: error?.message });
  if (id === undefined || manner === "hangs") return;
  await wakes;
  if (method === "initialize") {
    const { protocolVersion } = params;
    return send({
      id,
      result: {
        protocolVersion,
        capabilities: { tools: { listChanged: true }, resources: {}, prompts: {} },
        serverInfo: { name: "test", version: "1" },
      },
    });
  }
  if (method === "tools/list") return send({ id, result: { tools } });
  if (method === "resources/list")
    return send({ id, result: { resources: [{ uri: "test://one", name: "one", description: "The first." }] } });
  if (method === "resources/templates/list") return send({ id, result: { resourceTemplates: [] } });
  if (method === "resources/read") return send({ id, result: { contents: [{ uri: params.uri, text: `content of ${params.uri}` }] } });
  if (method === "prompts/list")
    return send({ id, result: { prompts: [{ name: "greet", description: "Greets.", arguments: [{ name: "who", required: true }] }] } });
  if (method === "prompts/get")
    return send({ id, result: { messages: [{ role: "user", content: { type: "text", text: `Greet ${params.arguments?.who}.` } }] } });
  if (method === "tools/call") return send({ id, result: await calls[params.name](params.arguments ?? {}, params._meta) });
  if (method === "ping") return send({ id, result: {} });
  send({ id, error: { code: -32601, message: "Method not found" } });
});
