import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { type FakeModelServer, inConversation, startFakeModelServer } from "@guildhall/core/testing";

import { Home, jsonLines } from "../cli/guild.ts";
import { DOT } from "../network/pages.ts";
import { verifies } from "../verifies.ts";

const FIGURE = `class Figure:
    def _repr_png_(self): return open("dot.png", "rb").read()
Figure()`;

describe("pictures in observations", () => {
  let home: Home;
  let server: FakeModelServer;
  before(async () => {
    home = new Home();
    server = await startFakeModelServer();
  });
  after(async () => {
    await home.remove();
    await server.close();
  });

  const work = async (spec: string, env: Record<string, string>): Promise<{ requests: string[]; session: string }> => {
    server.answer(
      inConversation([
        { calls: [{ tool: "python", args: { code: FIGURE } }] },
        { calls: [{ tool: "browser", args: { command: "open", url: "about:blank" } }] },
        { calls: [{ tool: "browser", args: { command: "screenshot" } }] },
        { calls: [{ tool: "finish", args: { summary: "seen", done: true } }] },
      ]),
    );
    const seen = server.requests.length;
    const workspace = home.sample();
    writeFileSync(join(workspace, "dot.png"), DOT);
    const run = await home.guild(
      ["run", "Look.", "--workspace", workspace, "--model", spec, "--base-url", `${server.origin}/v1`, "--json"],
      { env },
    );
    assert.equal(run.code, 0, run.stdout + run.stderr);
    return {
      requests: server.requests.slice(seen).map(({ body }) => JSON.stringify(body)),
      session: String(jsonLines(run.stdout)[0]?.["id"]),
    };
  };

  it("go to a model that sees, as figures of Python and screenshots; the log keeps their digests and replays", async () => {
    verifies("D9", "B5");
    const { requests, session } = await work("anthropic/claude-test", { ANTHROPIC_API_KEY: "k" });
    const last = requests.at(-1) ?? "";
    assert.ok(last.includes(DOT.toString("base64")), "the figure itself");
    assert.equal(last.split('"media_type":"image/png"').length - 1, 2, last.slice(0, 2_000));
    assert.ok(requests.slice(0, 1).every((body) => !body.includes("image/png")));
    const events = (await home.guild(["session", "events", session, "--json"])).stdout;
    assert.ok(!events.includes(DOT.toString("base64")));
    const file = join(home.directory, "seen.jsonl");
    assert.equal((await home.guild(["session", "export", session, "-o", file])).code, 0);
    const replay = await home.guild(["session", "replay", file, "--json"]);
    assert.equal(jsonLines(replay.stdout)[0]?.["identical"], true, replay.stdout + replay.stderr);
  });

  it("are only told of to one that does not", async () => {
    const { requests } = await work("openai-compatible/test", {});
    const last = requests.at(-1) ?? "";
    assert.ok(!last.includes(DOT.toString("base64")));
    assert.equal(last.split("1 picture is not shown to you").length - 1, 2);
  });
});
