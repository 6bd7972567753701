import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";

import { inConversation, startFakeModelServer } from "./fake-model-server.ts";

const post = (url: string, body: unknown): Promise<Response> => fetch(url, { method: "POST", body: JSON.stringify(body) });

describe("the fake model server", () => {
  it("answers without a stream in each format", async () => {
    const server = await startFakeModelServer({
      reply: () => ({ text: "hello", calls: [{ tool: "bash", args: { command: "ls" }, id: "c1" }] }),
    });
    for (const path of ["/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1beta/models/m:generateContent"]) {
      const answer = await post(server.origin + path, { model: "m", messages: [], input: [], contents: [] });
      const text = await answer.text();
      assert.match(answer.headers.get("content-type") ?? "", /json/);
      assert.match(text, /hello/);
      assert.match(text, /"bash"/);
    }
    await server.close();
  });

  it("keeps requests with their times, and serves each conversation at its own place", async () => {
    const server = await startFakeModelServer({ reply: inConversation([{ text: "first" }, { text: "second" }]) });
    const turn = { role: "assistant", content: "…" };
    const texts: string[] = [];
    for (const messages of [[], [turn], [], [turn, { role: "user", content: "" }, turn]]) {
      const answer = (await (await post(`${server.baseUrl}/chat/completions`, { messages })).json()) as {
        choices: Array<{ message: { content: string } }>;
      };
      texts.push(answer.choices[0]?.message.content ?? "");
    }
    assert.deepEqual(texts, ["first", "second", "first", "second"]);
    assert.equal(server.requests.length, 4);
    for (const request of server.requests) assert.ok(request.repliedNs !== undefined && request.repliedNs >= request.arrivedNs);
    await server.close();
  });

  it("reports a fault of the script to the caller", async () => {
    const server = await startFakeModelServer({
      reply: () => {
        throw new RangeError("no such step");
      },
    });
    const answer = await post(`${server.baseUrl}/chat/completions`, {});
    assert.equal(answer.status, 500);
    assert.match(await answer.text(), /no such step/);
    await server.close();
  });

  it("runs as a process of its own and ends with its input", async () => {
    const file = fileURLToPath(new URL("fake-model-server.cli.ts", import.meta.url));
    const child = spawn(process.execPath, [file, "--steps", "1", "--no-bodies", "--until-eof"], { stdio: ["pipe", "pipe", "inherit"] });
    const [baseUrl] = (await once(createInterface(child.stdout), "line")) as [string];
    const said = async (messages: unknown[]): Promise<string> => (await post(`${baseUrl}/chat/completions`, { messages })).text();
    assert.match(await said([]), /echo step 1/);
    assert.match(await said([{ role: "assistant" }]), /"finish"/);
    const times = (await (await fetch(new URL("/fake/requests", baseUrl))).json()) as Array<{ arrivedNs: string; repliedNs: string }>;
    assert.equal(times.length, 2);
    assert.ok(BigInt(times[0]?.repliedNs ?? 0) <= BigInt(times[1]?.arrivedNs ?? 0));
    child.stdin.end();
    const [code] = (await once(child, "exit")) as [number];
    assert.equal(code, 0);
  });
});
