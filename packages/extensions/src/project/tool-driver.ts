/**
 * Runs in `node -e` inside the sandbox, Node.js 18 and later: loads the modules named by its arguments and serves the tools that they export as an MCP
 * server, by hand and without dependencies. What counts as a tool: an object (or a list or record of them) with a description and a function
 * `execute` (AI SDK, Guildhall), `invoke` (LangChain) or `run`; its schema is JSON Schema, or one that can tell its own (zod, Standard JSON Schema, AI
 * SDK's `jsonSchema`). What a module prints goes to standard error.
 */
export const TOOL_DRIVER = String.raw`
const { createInterface } = require("node:readline");
const { basename } = require("node:path");
const { pathToFileURL } = require("node:url");
const out = process.stdout.write.bind(process.stdout);
process.stdout.write = process.stderr.write.bind(process.stderr);
const send = (message) => out(JSON.stringify({ jsonrpc: "2.0", ...message }) + "\n");
const tools = new Map();
const schemaOf = (tool) => {
  const given = tool.inputSchema ?? tool.parameters ?? tool.schema;
  if (given === undefined || given === null) return { type: "object" };
  const own = given["~standard"]?.jsonSchema;
  if (typeof own?.input === "function") return own.input({ target: "draft-07" });
  if (typeof given.toJSONSchema === "function") return given.toJSONSchema();
  if (typeof given.jsonSchema === "object") return given.jsonSchema;
  return typeof given.type === "string" ? given : { type: "object" };
};
const isTool = (one) => one !== null && typeof one === "object" && ["execute", "invoke", "run"].some((name) => typeof one[name] === "function");
const add = (name, one) => {
  if (!isTool(one)) return;
  const call = one.execute ?? one.invoke ?? one.run;
  const { $schema, ...inputSchema } = schemaOf(one);
  tools.set(one.name ?? name, { inputSchema, description: String(one.description ?? name), call: (input, extra) => call.call(one, input, extra) });
};
const collect = (name, value) => {
  if (isTool(value)) add(name, value);
  else if (Array.isArray(value)) value.forEach((one, index) => add(name + "_" + (index + 1), one));
  else if (value !== null && typeof value === "object") for (const [key, one] of Object.entries(value)) add(key, one);
};
const loaded = Promise.all(process.argv.slice(1).map(async (file) => {
  const name = basename(file).replace(/\.[a-z]+$/, "");
  try {
    for (const [key, value] of Object.entries(await import(pathToFileURL(file)))) collect(key === "default" ? name : key, value);
  } catch (error) {
    process.stderr.write(name + ": " + (error?.message ?? error) + "\n");
    tools.set(name, { inputSchema: { type: "object" }, description: "Could not be loaded: " + String(error?.message ?? error).split("\n")[0].slice(0, 300), call: () => { throw error; } });
  }
}));
const textOf = (value) => (typeof value === "string" ? value : value === undefined ? "done" : JSON.stringify(value, undefined, 1));
const running = new Map();
const call = async (id, { name, arguments: input = {}, _meta }) => {
  const tool = tools.get(name);
  if (tool === undefined) throw new TypeError("there is no tool " + name);
  const stop = new AbortController();
  running.set(id, stop);
  let count = 0;
  const progress = (message) => {
    if (_meta?.progressToken !== undefined) send({ method: "notifications/progress", params: { progressToken: _meta.progressToken, progress: ++count, message: String(message) } });
  };
  try {
    const value = await tool.call(input, { toolCallId: String(id), messages: [], abortSignal: stop.signal, signal: stop.signal, progress });
    if (Array.isArray(value?.content) && value.content.every((part) => typeof part?.type === "string")) return { content: value.content };
    return { content: [{ type: "text", text: textOf(value) }] };
  } catch (error) {
    return { isError: true, content: [{ type: "text", text: String(error?.stack ?? error).slice(0, 4000) }] };
  } finally {
    running.delete(id);
  }
};
const answers = {
  initialize: ({ protocolVersion }) => ({ protocolVersion, capabilities: { tools: {} }, serverInfo: { name: "project tools", version: "1" } }),
  ping: () => ({}),
  "tools/list": async () => {
    await loaded;
    return { tools: [...tools].map(([name, { description, inputSchema }]) => ({ name, description, inputSchema })) };
  },
};
createInterface({ input: process.stdin }).on("line", async (line) => {
  const { id, method, params = {} } = JSON.parse(line);
  if (method === "notifications/cancelled") running.get(params.requestId)?.abort();
  if (id === undefined || method === undefined) return;
  try {
    if (method === "tools/call") send({ id, result: await call(id, params) });
    else if (answers[method] === undefined) send({ id, error: { code: -32601, message: "Method not found" } });
    else send({ id, result: await answers[method](params) });
  } catch (error) {
    send({ id, error: { code: -32603, message: String(error?.message ?? error) } });
  }
}).on("close", () => process.exit(0));
process.on("uncaughtException", (error) => process.stderr.write(String(error?.stack ?? error) + "\n"));
process.on("unhandledRejection", (error) => process.stderr.write(String(error?.stack ?? error) + "\n"));
`;
