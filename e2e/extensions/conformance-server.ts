/**
 * The server that the MCP conformance suite examines: our HTTP endpoint, with the tools, resources and prompts that the suite asks for by name.
 * Prints its URL, ends with its input.
 */
import { serveOverHttp } from "@guildhall/cli/mcp-http";
import { completable, fromJsonSchema, McpServer, ResourceTemplate } from "@modelcontextprotocol/server";
import { z } from "zod";

const PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const SOUND = "UklGRiQAAABXQVZFZm10IBAAAAABAAEARKwAAIhYAQACABAAZGF0YQAAAAA=";
const text = (words: string) => ({ content: [{ type: "text" as const, text: words }] });
const image = { type: "image" as const, data: PIXEL, mimeType: "image/png" };
const embedded = (uri: string, words: string) => ({ type: "resource" as const, resource: { uri, mimeType: "text/plain", text: words } });

function create(): McpServer {
  const server = new McpServer(
    { name: "guildhall-conformance", version: "1.0.0" },
    { capabilities: { logging: {}, completions: {}, resources: { subscribe: true, listChanged: true } } },
  );
  const tool = (name: string, answer: Parameters<typeof server.registerTool>[2]) =>
    server.registerTool(name, { description: `Test: ${name}` }, answer);
  tool("test_simple_text", () => text("This is a simple text response for testing."));
  tool("test_image_content", () => ({ content: [image] }));
  tool("test_audio_content", () => ({ content: [{ type: "audio", data: SOUND, mimeType: "audio/wav" }] }));
  tool("test_embedded_resource", () => ({ content: [embedded("test://embedded-resource", "This is an embedded resource content.")] }));
  tool("test_multiple_content_types", () => ({
    content: [
      { type: "text", text: "Multiple content types test:" },
      image,
      embedded("test://mixed-content-resource", '{"test":"data","value":123}'),
    ],
  }));
  tool("test_error_handling", () => ({ isError: true, ...text("This tool intentionally returns an error for testing") }));
  server.registerTool("test_tool_with_logging", { description: "Logs", inputSchema: z.object({}) }, async (_args, { mcpReq }) => {
    for (const line of ["Tool execution started", "Tool processing data", "Tool execution completed"]) await mcpReq.log("info", line);
    return text("Tool with logging executed successfully");
  });
  server.registerTool("test_tool_with_progress", { description: "Reports", inputSchema: z.object({}) }, async (_args, { mcpReq }) => {
    const progressToken = mcpReq._meta?.progressToken ?? 0;
    for (const progress of [0, 50, 100]) {
      await mcpReq.notify({
        method: "notifications/progress",
        params: { progressToken, progress, total: 100, message: `Completed step ${progress} of 100` },
      });
    }
    return text("Progress test completed");
  });
  server.registerTool(
    "test_sampling",
    { description: "Samples", inputSchema: z.object({ prompt: z.string() }) },
    async ({ prompt }, { mcpReq }) => {
      const reply = await mcpReq.requestSampling(
        { messages: [{ role: "user", content: { type: "text", text: prompt } }], maxTokens: 100 },
        { relatedRequestId: mcpReq.id },
      );
      return text(`LLM response: ${JSON.stringify(reply.content)}`);
    },
  );
  const ask = (name: string, message: (args: { message?: string | undefined }) => string, properties: object, required: string[] = []) =>
    server.registerTool(
      name,
      { description: `Asks: ${name}`, inputSchema: z.object({ message: z.string().optional() }) },
      async (args, { mcpReq }) => {
        const requestedSchema = { type: "object" as const, properties: properties as Record<string, { type: "string" }>, required };
        const answer = await mcpReq.elicitInput(
          { mode: "form", message: message(args), requestedSchema },
          // Told in the stream of the call: of its own accord the SDK takes the other one, which the client may not have opened yet.
          { relatedRequestId: mcpReq.id },
        );
        return text(`User response: action=${answer.action}, content=${JSON.stringify(answer.content)}`);
      },
    );
  ask(
    "test_elicitation",
    ({ message }) => message ?? "",
    { username: { type: "string", description: "User's response" }, email: { type: "string", description: "User's email address" } },
    ["username", "email"],
  );
  ask("test_elicitation_sep1034_defaults", () => "Please review and update the form fields with defaults", {
    name: { type: "string", description: "User name", default: "John Doe" },
    age: { type: "integer", description: "User age", default: 30 },
    score: { type: "number", description: "User score", default: 95.5 },
    status: { type: "string", description: "User status", enum: ["active", "inactive", "pending"], default: "active" },
    verified: { type: "boolean", description: "Verification status", default: true },
  });
  const titled = (...names: string[]) => names.map((name, index) => ({ const: `value${index + 1}`, title: name }));
  ask("test_elicitation_sep1330_enums", () => "Please select options from the enum fields", {
    untitledSingle: { type: "string", description: "Select one option", enum: ["option1", "option2", "option3"] },
    titledSingle: {
      type: "string",
      description: "Select one option with titles",
      oneOf: titled("First Option", "Second Option", "Third Option"),
    },
    legacyEnum: {
      type: "string",
      description: "Select one option (legacy)",
      enum: ["opt1", "opt2", "opt3"],
      enumNames: ["Option One", "Option Two", "Option Three"],
    },
    untitledMulti: {
      type: "array",
      description: "Select multiple options",
      minItems: 1,
      maxItems: 3,
      items: { type: "string", enum: ["option1", "option2", "option3"] },
    },
    titledMulti: {
      type: "array",
      description: "Select multiple options with titles",
      minItems: 1,
      maxItems: 3,
      items: { anyOf: titled("First Choice", "Second Choice", "Third Choice") },
    },
  });
  server.registerTool(
    "test_reconnection",
    { description: "Closes its stream, then answers", inputSchema: z.object({}) },
    async (_args, { http }) => {
      http?.closeSSE?.();
      await new Promise((resolve) => setTimeout(resolve, 100));
      return text("Reconnection test completed successfully.");
    },
  );
  const schema = fromJsonSchema({
    $schema: "https://json-schema.org/draft/2020-12/schema",
    type: "object",
    $defs: { address: { type: "object", properties: { street: { type: "string" }, city: { type: "string" } } } },
    properties: { name: { type: "string" }, address: { $ref: "#/$defs/address" } },
    additionalProperties: false,
  });
  server.registerTool("json_schema_2020_12_tool", { description: "Tool with JSON Schema 2020-12 features", inputSchema: schema }, () =>
    text("ok"),
  );

  server.registerResource("static-text", "test://static-text", { mimeType: "text/plain" }, (uri) => ({
    contents: [{ uri: uri.href, mimeType: "text/plain", text: "This is the content of the static text resource." }],
  }));
  server.registerResource("static-binary", "test://static-binary", { mimeType: "image/png" }, (uri) => ({
    contents: [{ uri: uri.href, mimeType: "image/png", blob: PIXEL }],
  }));
  server.registerResource(
    "template",
    new ResourceTemplate("test://template/{id}/data", { list: undefined }),
    { mimeType: "application/json" },
    (uri, { id }) => ({
      contents: [
        {
          uri: uri.href,
          mimeType: "application/json",
          text: JSON.stringify({ id, templateTest: true, data: `Data for ID: ${String(id)}` }),
        },
      ],
    }),
  );
  server.registerResource("watched", "test://watched-resource", { mimeType: "text/plain" }, (uri) => ({
    contents: [{ uri: uri.href, text: "watched" }],
  }));
  server.server.setRequestHandler("resources/subscribe", () => ({}));
  server.server.setRequestHandler("resources/unsubscribe", () => ({}));
  server.server.setRequestHandler("logging/setLevel", () => ({}));

  const said = (content: unknown) =>
    ({ messages: [{ role: "user" as const, content }] }) as { messages: [{ role: "user"; content: ReturnType<typeof embedded> }] };
  server.registerPrompt("test_simple_prompt", { description: "Simple" }, () =>
    said({ type: "text", text: "This is a simple prompt for testing." }),
  );
  const two = z.object({ arg1: completable(z.string(), (value) => [`${value}1`, `${value}2`]), arg2: z.string() });
  server.registerPrompt("test_prompt_with_arguments", { description: "With arguments", argsSchema: two }, ({ arg1, arg2 }) =>
    said({ type: "text", text: `Prompt with arguments: arg1='${arg1}', arg2='${arg2}'` }),
  );
  server.registerPrompt(
    "test_prompt_with_embedded_resource",
    { description: "Embedded", argsSchema: z.object({ resourceUri: z.string() }) },
    ({ resourceUri }) => said(embedded(resourceUri, "Embedded resource content for testing.")),
  );
  server.registerPrompt("test_prompt_with_image", { description: "Image" }, () => said(image));
  return server;
}

const endpoint = await serveOverHttp({ create, host: "127.0.0.1", port: 0, retryMs: 500 });
process.stdout.write(`${endpoint.url}\n`);
process.stdin.resume().on("end", () => process.exit(0));
