/**
 * A small internet, as a program in a network and mount namespace of its own: servers at public addresses, names in /etc/hosts. Writes a line of
 * JSON for itself (`ready`, with the authority of its certificates) and one for each request; ends when its input does.
 */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { callbackify } from "node:util";

import { createSessionAuthority } from "@guildhall/sandbox";

import { startNameServer } from "./name-server.ts";
import { servePage } from "./pages.ts";
import { Registry } from "./registry.ts";

const PUBLIC = "93.184.216.34";
const [hosts = ""] = process.argv.slice(2);

const run = (program: string, ...args: string[]): void => void execFileSync(program, args, { stdio: ["ignore", "ignore", "inherit"] });
run("ip", "link", "set", "lo", "up");
run("ip", "address", "add", `${PUBLIC}/32`, "dev", "lo");
writeFileSync(
  hosts,
  [
    "127.0.0.1 localhost",
    `${PUBLIC} api.example.com www.example.com git.example.com other.example.com registry.example.com`,
    "127.0.0.1 rebound.example.com",
    "169.254.169.254 metadata.example.com",
    "",
  ].join("\n"),
);
run("mount", "--bind", hosts, "/etc/hosts");
writeFileSync(`${hosts}.resolv`, "nameserver 127.0.0.1\n");
run("mount", "--bind", `${hosts}.resolv`, "/etc/resolv.conf");
await startNameServer();

const registry = new Registry("tiny-package");

function answer(message: IncomingMessage, response: ServerResponse): void {
  const chunks: Buffer[] = [];
  message.on("data", (chunk: Buffer) => chunks.push(chunk));
  message.on("end", () => {
    const { method, url = "", headers } = message;
    tell({ method, url, host: headers.host, authorization: headers.authorization, headers, body: Buffer.concat(chunks).toString() });
    if (servePage(message, response)) return;
    if (url.startsWith("/repo.git/info/refs")) {
      if (headers.authorization === undefined) {
        response.writeHead(401, { "www-authenticate": 'Basic realm="git"' }).end();
        return;
      }
      response.writeHead(200, { "content-type": "application/x-git-upload-pack-advertisement" });
      response.end("001e# service=git-upload-pack\n00000000");
      return;
    }
    if (url === "/mcp") {
      mcp(method ?? "", Buffer.concat(chunks).toString(), response);
      return;
    }
    if (headers.host === "registry.example.com") {
      registry.answer(url, headers.authorization, response);
      return;
    }
    if (url === "/redirect") response.writeHead(302, { location: "https://other.example.com/" });
    if (url === "/echo") response.write(`${headers.authorization ?? ""} `);
    response.end(`hello from ${headers.host}${url}\n`);
  });
}

/** An MCP server of few words: no sessions, no streams. */
function mcp(method: string, body: string, response: ServerResponse): void {
  if (method !== "POST") {
    response.writeHead(405).end();
    return;
  }
  const { id, method: asked, params } = JSON.parse(body) as { id?: number; method: string; params?: { protocolVersion?: string } };
  const answers: Record<string, unknown> = {
    initialize: { protocolVersion: params?.protocolVersion, capabilities: { tools: {} }, serverInfo: { name: "world", version: "1" } },
    "tools/list": {
      tools: [{ name: "weather", description: "Tells the weather.", inputSchema: { type: "object" }, annotations: { readOnlyHint: true } }],
    },
    "tools/call": { content: [{ type: "text", text: "rain, as ever" }] },
  };
  if (id === undefined) response.writeHead(202).end();
  else {
    const result = answers[asked];
    const answer = result === undefined ? { error: { code: -32601, message: "Method not found" } } : { result };
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ jsonrpc: "2.0", id, ...answer }));
  }
}

const authority = await createSessionAuthority("The world", new Date());
const secure = createSecureServer({ SNICallback: (name, done) => callbackify(() => authority.contextFor(name))(done) }, answer);
secure.listen(443, PUBLIC);
const plain = createServer(answer).listen(80, PUBLIC);
// What runs on a loopback must not be reached, whatever name leads there.
const inner = createServer(answer).listen(80, "127.0.0.1");
await Promise.all([secure, plain, inner].map((server) => once(server, "listening")));
tell({ ready: true, certificate: authority.certificate });
process.stdin.resume().on("end", () => process.exit(0));

function tell(line: Record<string, unknown>): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
