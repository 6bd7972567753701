import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { crc32 } from "node:zlib";

import type { FakeReply } from "./fake-model-server-reply.ts";

/** One request as it arrived. */
export interface FakeBedrockRequest {
  path: string;
  headers: IncomingHttpHeaders;
  body: unknown;
}

export interface FakeBedrockServer {
  origin: string;
  requests: FakeBedrockRequest[];
  /** Replies in the order of arrival; past their end the last one again. */
  answer(replies: FakeReply[]): void;
  close(): Promise<void>;
}

/** Amazon Bedrock's ConverseStream on loopback: JSON in, frames of `application/vnd.amazon.eventstream` out. Takes any signature. */
export async function startFakeBedrockServer(): Promise<FakeBedrockServer> {
  const requests: FakeBedrockRequest[] = [];
  let replies: FakeReply[] = [];
  let next = 0;
  const server = createServer((message, response) => {
    const chunks: Buffer[] = [];
    message.on("data", (chunk: Buffer) => chunks.push(chunk));
    message.on("end", () => {
      requests.push({
        path: message.url ?? "",
        headers: message.headers,
        body: JSON.parse(Buffer.concat(chunks).toString("utf8")) as unknown,
      });
      const reply = replies[Math.min(next++, replies.length - 1)] ?? { text: "done" };
      if (reply.fault?.kind === "status") {
        response.writeHead(reply.fault.status, { "content-type": "application/json", "x-amzn-errortype": reply.fault.code ?? "Exception" });
        response.end(JSON.stringify({ message: reply.fault.message ?? "no reason" }));
        return;
      }
      response.writeHead(200, { "content-type": "application/vnd.amazon.eventstream" });
      for (const [type, payload] of events(reply)) response.write(frame(type, payload));
      response.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    answer(given) {
      replies = given;
      next = 0;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function events(reply: FakeReply): Array<[type: string, payload: unknown]> {
  const all: Array<[string, unknown]> = [["messageStart", { role: "assistant" }]];
  let contentBlockIndex = 0;
  if (reply.text !== undefined && reply.text !== "") {
    all.push(["contentBlockDelta", { contentBlockIndex, delta: { text: reply.text } }], ["contentBlockStop", { contentBlockIndex }]);
    contentBlockIndex += 1;
  }
  for (const call of reply.calls ?? []) {
    const input = typeof call.args === "string" ? call.args : JSON.stringify(call.args ?? {});
    const toolUse = { toolUseId: call.id ?? `tooluse_${contentBlockIndex}`, name: call.tool };
    all.push(
      ["contentBlockStart", { contentBlockIndex, start: { toolUse } }],
      ["contentBlockDelta", { contentBlockIndex, delta: { toolUse: { input } } }],
      ["contentBlockStop", { contentBlockIndex }],
    );
    contentBlockIndex += 1;
  }
  const { input: inputTokens = 10, output: outputTokens = 5 } = reply.usage ?? {};
  all.push(
    ["messageStop", { stopReason: (reply.calls ?? []).length > 0 ? "tool_use" : "end_turn" }],
    ["metadata", { usage: { inputTokens, outputTokens, totalTokens: inputTokens + outputTokens }, metrics: { latencyMs: 1 } }],
  );
  return all;
}

/** One message: lengths, their checksum, headers, payload, checksum of it all. */
function frame(type: string, payload: unknown): Buffer {
  const headers = Buffer.concat(
    [
      [":event-type", type],
      [":content-type", "application/json"],
      [":message-type", "event"],
    ].map(([name = "", value = ""]) => {
      const length = Buffer.alloc(3);
      length.writeUInt8(7, 0);
      length.writeUInt16BE(Buffer.byteLength(value), 1);
      return Buffer.concat([Buffer.from([Buffer.byteLength(name)]), Buffer.from(name), length, Buffer.from(value)]);
    }),
  );
  const body = Buffer.from(JSON.stringify(payload));
  const prelude = Buffer.alloc(12);
  prelude.writeUInt32BE(16 + headers.length + body.length, 0);
  prelude.writeUInt32BE(headers.length, 4);
  prelude.writeUInt32BE(crc32(prelude.subarray(0, 8)), 8);
  const checksum = Buffer.alloc(4);
  const whole = Buffer.concat([prelude, headers, body]);
  checksum.writeUInt32BE(crc32(whole), 0);
  return Buffer.concat([whole, checksum]);
}
