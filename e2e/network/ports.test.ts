import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { Home, jsonLines } from "../cli/guild.ts";
import { verifies } from "../verifies.ts";

const SERVER = `import http.server
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b'inside ' + b'x' * 300000)
    def log_message(self, *a): pass
http.server.ThreadingHTTPServer(('127.0.0.1', 8765), H).serve_forever()`;

describe("ports of a sandbox", () => {
  let home: Home;
  let session = "";

  before(async () => {
    home = new Home();
    const workspace = mkdtempSync(join(home.directory, "workspace-"));
    home.write(`${workspace.slice(home.directory.length + 1)}/server.py`, SERVER);
    const command =
      "python3 server.py > server.log 2>&1 & for i in $(seq 100); do (echo > /dev/tcp/127.0.0.1/8765) 2>/dev/null && break; sleep 0.1; done; echo up";
    const steps = [
      { calls: [{ tool: "bash", args: { command } }] },
      { calls: [{ tool: "finish", args: { done: true, summary: "serves" } }] },
    ];
    const script = home.write("serve.json", JSON.stringify({ description: "Serves.", steps }));
    const done = await home.guild(["run", "Serve.", "--workspace", workspace, "--model", `scripted:${script}`, "--yes", "--json"]);
    assert.equal(done.code, 0, done.stdout + done.stderr);
    session = String(jsonLines(done.stdout)[0]?.["id"]);
  });
  after(() => home.remove());

  const fetched = async (port: number): Promise<string> => (await fetch(`http://127.0.0.1:${port}/`)).text();

  it("are listed, reached while somebody forwards them, and by nobody else", async () => {
    verifies("F3");
    const listed = await home.guild(["session", "ports", session]);
    assert.match(listed.stdout, /^tcp 127\.0\.0\.1:8765$/m, listed.stderr);
    await assert.rejects(fetched(8765), "nothing on this machine listens by itself");

    const forward = home.start(["session", "forward", session, "0:8765"]);
    const port = Number(/^127\.0\.0\.1:(\d+) leads to port 8765/m.exec(await forward.until(/leads to/))?.[1]);
    const answers = await Promise.all([fetched(port), fetched(port), fetched(port)]);
    assert.deepEqual(
      answers.map((text) => [text.slice(0, 7), text.length]),
      Array(3).fill(["inside ", 300_007]),
    );
    forward.child.kill("SIGINT");
    assert.equal((await forward.finished).code, 0);
    await assert.rejects(fetched(port), "it ends with the command");

    const events = await home.guild(["session", "events", session, "--json"]);
    assert.match(events.stdout, /"host":"localhost","port":8765,"method":"FORWARD"/);
  });

  it("that nothing listens on are said to be so, in the log as well", async () => {
    const forward = home.start(["session", "forward", session, "0:9"]);
    const port = Number(/^127\.0\.0\.1:(\d+)/m.exec(await forward.until(/leads to/))?.[1]);
    const socket = connect(port, "127.0.0.1");
    await new Promise((resolve) => socket.on("close", resolve).on("error", resolve).resume());
    forward.child.kill("SIGTERM");
    assert.match((await forward.finished).stderr, /nothing answers on port 9 of the sandbox/);
    assert.equal((await home.guild(["session", "forward", session, "x"])).code, 2);
    assert.equal((await home.guild(["session", "ports", "ses_none"])).code, 2);
  });
});
