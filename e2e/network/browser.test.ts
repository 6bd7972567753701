import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { type Home, jsonLines } from "../cli/guild.ts";
import { verifies } from "../verifies.ts";
import { Internet, noInternet } from "./internet.ts";

const POLICY = `
[[network.rules]]
host = "www.example.com"
plain = true
`;

interface Told {
  status: string;
  output: string;
  data: Record<string, unknown>;
}

describe("the browser", { skip: noInternet }, () => {
  const internet = new Internet();
  let home: Home;
  let workspace = "";

  before(async () => {
    await internet.start();
    home = internet.home();
    home.write("guild/config/policy.toml", POLICY);
    workspace = mkdtempSync(join(home.directory, "workspace-"));
  });
  after(async () => {
    await home.remove();
    await internet.stop();
  });

  /** The calls' results, made in one sandbox; without a name they are the browser's. */
  const browse = async (...calls: Array<Record<string, unknown>>): Promise<Told[]> => {
    const script = home.write("calls.json", JSON.stringify(calls.map(({ name = "browser", ...args }) => ({ name, args }))));
    const { stdout, stderr } = await home.guild(["tool", "call", "--script", script, "--workspace", workspace, "--json"]);
    const results = jsonLines(stdout) as unknown as Told[];
    assert.equal(results.length, calls.length, stdout + stderr);
    return results;
  };
  const output = (told: Told | undefined): string => told?.output ?? "";

  it("fills a form in, sends it, and reads what came of it", async () => {
    verifies("D9");
    writeFileSync(join(workspace, "a.txt"), "attached");
    const [opened, typed, chosen, ticked, sent, log, net, shot, value] = await browse(
      { command: "open", url: "https://www.example.com/form" },
      { command: "type", ref: "#who", text: "Bea" },
      { command: "select", ref: "#what", values: ["Wax"] },
      { command: "click", ref: "#gift" },
      { command: "click", ref: "form button" },
      { command: "console" },
      { command: "network" },
      { command: "screenshot" },
      { command: "evaluate", text: "document.querySelector('#who').value" },
    );
    assert.match(output(opened), /^\["Form" https:\/\/www\.example\.com\/form\]\n/);
    for (const part of [
      /heading "Order" \[level=1\]/,
      /textbox "Name" \[.*ref=e\d+\]/,
      /combobox "Kind"/,
      /checkbox "A gift" \[ref=e\d+\]/,
      /button "Send" \[ref=e\d+\]/,
      /link "To the bees"/,
    ])
      assert.match(output(opened), part);
    assert.match(output(typed), /textbox "Name" \[.*\]: Bea/);
    const ref = (told: Told | undefined): string | undefined => /button "Send" \[ref=(e\d+)\]/.exec(output(told))?.[1];
    assert.equal(ref(typed), ref(opened), "references stay");
    assert.match(output(chosen), /combobox "Kind" \[.*\]: Wax/);
    assert.match(output(ticked), /checkbox "A gift" \[.*checked/);
    assert.match(output(sent), /Ordered: Bea, w, true/);
    assert.match(output(log), /log: ordered Bea/);
    assert.match(output(net), /POST https:\/\/www\.example\.com\/order Fetch → 200/);
    assert.match(output(shot), /image\/png, [\d,]+ bytes: output:sha256:/);
    assert.equal(output(value), '"Bea"');
    assert.equal(internet.received.find(({ method }) => method === "POST")?.body, "Bea");
  });

  it("goes to and fro, between tabs, and to what the policy allows", async () => {
    verifies("D9", "F3");
    const [, page, back, other, tabs, first, closed, plain] = await browse(
      { command: "open", url: "https://www.example.com/form" },
      { command: "click", ref: "a" },
      { command: "back" },
      { command: "open", url: "https://other.example.com/", tab: 0 },
      { command: "tabs" },
      { command: "tabs", tab: 1 },
      { command: "close", tab: 2 },
      { command: "open", url: "http://www.example.com/page" },
    );
    assert.match(output(page), /^\["Of bees & honey" https:\/\/www\.example\.com\/page\]/);
    assert.match(output(back), /^\["Form"/);
    assert.match(
      output(other),
      /^the network policy does not let other\.example\.com be reached .*would allow it with .*host = "other\.example\.com"/,
    );
    assert.match(output(tabs), /^1\. "Form" .*\n2\. /);
    assert.match(output(first), /^\["Form".*tab 1 of 2\]/);
    assert.match(output(closed), /^1\. "Form" [^\n]*$/);
    assert.match(output(plain), /^\["Of bees & honey" http:/);
  });

  it("reaches the servers of the sandbox: uploads, downloads, dialogs, frames, keys, waiting", async () => {
    verifies("D9");
    writeFileSync(join(workspace, "up.txt"), "carried up");
    writeFileSync(
      join(workspace, "index.html"),
      `<title>Own</title><input type="file" id="f" aria-label="File" onchange="this.files[0].text().then(t => out.textContent = t)"><p id="out"></p>
       <a href="data.bin" download="kept.bin">Keep</a><button onclick="alert('beware'); done.textContent = String(confirm('sure?'))">Ask</button><p id="done"></p>
       <iframe src="inner.html" title="Inner"></iframe><button id="late" onclick="setTimeout(() => out.textContent = 'came late', 300)">Late</button>
       <input id="keys" aria-label="Keys" onkeydown="done.textContent = event.key + (event.ctrlKey ? '+ctrl' : '')">
       <div style="position:fixed;inset:0;display:none" id="cover"></div><button id="under">Under</button>`,
    );
    writeFileSync(join(workspace, "inner.html"), "<button onclick=\"this.textContent = 'pressed'\">Press</button>");
    writeFileSync(join(workspace, "data.bin"), "the data");
    const results = await browse(
      { name: "process", action: "start", command: "exec python3 -m http.server 8765 --bind 127.0.0.1", port: 8765 },
      { command: "open", url: "localhost:8765/" },
      { command: "upload", ref: "#f", paths: ["up.txt"] },
      { command: "upload", ref: "#f", paths: ["../../etc/passwd"] },
      { command: "click", ref: "a" },
      { command: "download", paths: ["got/kept.bin"] },
      { command: "click", ref: "button" },
      { command: "dialog", submit: true },
      { command: "click", ref: "button" },
      { command: "press", text: "Control+b" },
      { command: "click", ref: "#late" },
      { command: "wait", text: "came late", timeout_s: 20 },
      { command: "evaluate", text: "cover.style.display = 'block'" },
      { command: "click", ref: "#under" },
      { command: "click", ref: "e999" },
    );
    const [, open, up, outside, , kept, asked, , again, , , late, , covered, missing] = results;
    const inner = /button "Press" \[ref=(e\d+)\]/.exec(output(open))?.[1];
    assert.ok(inner, output(open));
    assert.match(output(up), /carried up/);
    assert.match(output(outside), /outside the workspace/);
    assert.equal(kept?.status, "ok", output(kept));
    assert.equal(readFileSync(join(workspace, "got/kept.bin"), "utf8"), "the data");
    assert.match(output(asked), /\[alert "beware" was accepted\]\n\[confirm "sure\?" was dismissed\][^]*- false/);
    assert.match(output(again), /confirm "sure\?" was accepted[^]*- true/);
    assert.match(output(late), /came late/);
    assert.match(output(covered), /cannot be clicked: it is covered by <div id=cover>/);
    assert.match(output(missing), /e999 is not on this page/);
    const pressed = await browse(
      { name: "process", action: "start", command: "exec python3 -m http.server 8765 --bind 127.0.0.1", port: 8765 },
      { command: "open", url: "http://localhost:8765/" },
      { command: "click", ref: inner },
      { command: "click", ref: "#keys" },
      { command: "press", text: "Control+b" },
    );
    assert.match(output(pressed[2]), /button "pressed"/);
    assert.match(output(pressed[4]), /b\+ctrl/);
  });

  it("goes on after a page that never loads, one that is huge, a crash and a kill", { timeout: 240_000 }, async () => {
    verifies("D9");
    const [endless, after, huge, crash, dead, again, killed, lost, fresh, done] = await browse(
      { command: "open", url: "https://www.example.com/endless", timeout_s: 2 },
      { command: "open", url: "https://www.example.com/form" },
      {
        command: "evaluate",
        text: "for (let i = 0; i < 30000; i++) document.body.append(Object.assign(document.createElement('button'), { textContent: 'b' + i })); 1",
      },
      { command: "open", url: "chrome://crash" },
      { command: "evaluate", text: "new Promise(() => {})", timeout_s: 1 },
      { command: "open", url: "https://www.example.com/form" },
      { name: "bash", command: "pkill -9 -f user-data-dir; sleep 0.5; echo killed" },
      { command: "snapshot" },
      { command: "open", url: "https://www.example.com/form" },
      { command: "close" },
    );
    assert.deepEqual([endless?.status, /has not answered in time/.test(output(endless))], ["error", true], output(endless));
    assert.match(output(after), /^\["Form"/);
    assert.equal(huge?.status, "ok", output(huge));
    assert.match(output(crash), /chrome: is not fetched/);
    assert.deepEqual([dead?.status, output(dead).length < 400], ["error", true], output(dead));
    assert.match(output(again), /^\["Form"/);
    assert.match(output(killed), /killed/);
    assert.match(output(lost), /the browser has ended \(SIGKILL/);
    assert.match(output(fresh), /\["Form"/);
    assert.match(output(done), /closed/);
  });

  it("refuses files and inner addresses, and says so", async () => {
    const told = await browse(
      { command: "open", url: "file:///etc/passwd" },
      { command: "open", url: "http://169.254.169.254/latest/meta-data" },
      { command: "open", url: "javascript:alert(1)" },
      { command: "click" },
      { command: "type", ref: "html", text: "x" },
    );
    for (const one of told.slice(0, 1)) assert.equal(one.status, "error", output(one));
    assert.match(output(told[1]), /guildhall|policy|tunnel/i);
    assert.match(output(told[2]), /is not fetched/);
    assert.match(output(told[3]), /needs ref|no page/);
    assert.ok(!existsSync(join(workspace, "core")));
  });
});
