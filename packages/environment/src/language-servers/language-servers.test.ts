import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, it, type TestContext } from "node:test";

import { GuildError } from "@guildhall/core";
import { FakeToolSession, processSandbox } from "@guildhall/core/testing";

import { EditDiagnostics } from "./edit-diagnostics.ts";
import { LanguageServers } from "./language-servers.ts";
import { createLspTool } from "./lsp-tool.ts";
import { frame, MessageStream } from "./message-stream.ts";
import type { ServerKind } from "./server-kinds.ts";
import { applyEdits } from "./text-edits.ts";

const typescript = join(
  dirname(createRequire(import.meta.url).resolve(`@typescript/typescript-${process.platform}-${process.arch}/package.json`)),
  "lib/tsc",
);

function world(test: TestContext, options: { kinds?: readonly ServerKind[]; startMs?: number } = {}) {
  const workspace = realpathSync(mkdtempSync(join(tmpdir(), "guild-lsp-")));
  const { sandbox, close } = processSandbox(workspace);
  const servers = new LanguageServers({ sandbox: Promise.resolve(sandbox), programs: { "tsc-native": typescript }, ...options });
  test.after(async () => {
    await servers.close();
    close();
    rmSync(workspace, { recursive: true, force: true });
  });
  const write = (name: string, text: string): string => {
    writeFileSync(join(workspace, name), text);
    return join(workspace, name);
  };
  const tool = createLspTool(servers);
  const ask = async (input: Record<string, unknown>): Promise<{ status: string; output: string }> => {
    const session = new FakeToolSession({ workspace });
    const context = { ...session.context(), session: { sandbox, blobs: session.blobs, get: session.get.bind(session) } };
    return await tool.execute(tool.schema.parse(input), context);
  };
  return { workspace, servers, write, ask };
}

/** A server that is a few lines of JavaScript; `{body}` runs for each message `m`, `send` answers. */
function scripted(body: string): ServerKind[] {
  const program = `
let buffer = "";
const send = (m) => { const b = JSON.stringify({ jsonrpc: "2.0", ...m }); process.stdout.write("Content-Length: " + Buffer.byteLength(b) + "\\r\\n\\r\\n" + b); };
process.stdin.on("data", (d) => {
  buffer += d;
  for (;;) {
    const h = buffer.indexOf("\\r\\n\\r\\n"); if (h < 0) return;
    const n = Number(/length: (\\d+)/i.exec(buffer)[1]); if (buffer.length < h + 4 + n) return;
    const m = JSON.parse(buffer.slice(h + 4, h + 4 + n)); buffer = buffer.slice(h + 4 + n);
    ${body}
  }
});`;
  return [{ name: "odd", extensions: { odd: "odd" }, commands: [["node", "-e", program]], remedy: "none" }];
}

const INITIALIZED = `if (m.method === "initialize") send({ id: m.id, result: { capabilities: { hoverProvider: true } } });`;

describe("a real language server", () => {
  it("answers diagnostics, definition, references, hover, symbols, completion and signature", async (test) => {
    const { write, ask } = world(test);
    write("tsconfig.json", '{"compilerOptions": {"strict": true, "types": []}}');
    write("a.ts", "export function greet(name: string): string {\n  return name;\n}\n");
    write("b.ts", 'import { greet } from "./a";\nconst n: number = greet("x");\ngreet(\n');
    const at = { path: "b.ts", line: 2, symbol: "greet" };
    assert.match((await ask({ operation: "diagnostics", path: "b.ts" })).output, /b\.ts:2:7: error 2322: Type 'string' is not assignable/);
    assert.match((await ask({ operation: "definition", ...at })).output, /a\.ts:1:17: export function greet/);
    assert.match((await ask({ operation: "references", ...at })).output, /b\.ts:2:19: .*a\.ts:1:17: /s);
    assert.match((await ask({ operation: "hover", ...at })).output, /greet\(name: string\): string/);
    assert.match((await ask({ operation: "symbols", path: "a.ts" })).output, /1: greet/);
    assert.match((await ask({ operation: "signature", path: "b.ts", line: 3, column: 7 })).output, /greet\(name: string\)/);
    assert.match((await ask({ operation: "completion", path: "b.ts", line: 3, column: 4 })).output, /greet/);
    assert.match((await ask({ operation: "definition", path: "b.ts", line: 99, symbol: "x" })).output, /the file has 4 lines/);
  });

  it("renames everywhere and formats, in the files themselves", async (test) => {
    const { workspace, write, ask } = world(test);
    write("tsconfig.json", "{}");
    write("a.ts", "export const one = 1;\n");
    write("b.ts", 'import { one } from "./a";\nexport const two   =   one + one;\n');
    const renamed = await ask({ operation: "rename", path: "a.ts", line: 1, symbol: "one", new_name: "uno" });
    assert.match(renamed.output, /changed a\.ts.*changed b\.ts/s);
    assert.match(readFileSync(join(workspace, "b.ts"), "utf8"), /import \{ uno(?: as one)? \}/);
    await ask({ operation: "format", path: "b.ts" });
    assert.match(readFileSync(join(workspace, "b.ts"), "utf8"), /export const two = /);
  });

  it("tells what an edit has made wrong and put right, and nothing of what was so before", async (test) => {
    const { servers, write } = world(test);
    write("tsconfig.json", '{"compilerOptions": {"strict": true}}');
    const diagnostics = new EditDiagnostics(servers);
    const old = "const wrong: number = 'x';\nexport {};\n";
    const path = write("a.ts", old);
    const worse = `// moved\n${old}const more: string = 1;\n`;
    assert.match(
      (await diagnostics.of(path, "a.ts", old, worse)) ?? "",
      /new with this edit\]\na\.ts:4:7: error 2322: Type 'number'[^\n]*$/,
    );
    assert.equal(await diagnostics.of(path, "a.ts", worse, `${worse}// fine\n`), undefined);
    assert.match((await diagnostics.of(path, "a.ts", worse, "export {};\n")) ?? "", /2 problems of a\.ts gone with this edit, none new/);
    assert.equal(await diagnostics.of("/w/x.unknown", "x.unknown", "", "x"), undefined);
  });
});

describe("a language server that is not as it should be", () => {
  it("is missing: the answer says so, and how to get it", async (test) => {
    const kinds: ServerKind[] = [
      { name: "odd", extensions: { odd: "odd" }, commands: [["no-such-server-anywhere"]], remedy: "install odd" },
    ];
    const { write, ask, servers } = world(test, { kinds });
    write("x.odd", "");
    assert.deepEqual(await ask({ operation: "hover", path: "x.odd", line: 1 }), {
      status: "error",
      output: "there is no language server for odd here — install odd",
    });
    assert.equal(await new EditDiagnostics(servers).of("/w/x.odd", "x.odd", "", "y"), undefined);
  });

  it("works through a program that is not here: it says so, where it would seem to know of nothing", async (test) => {
    const body = `${INITIALIZED.replace("hoverProvider: true", "hoverProvider: true, diagnosticProvider: {}, documentFormattingProvider: true")}
      else if (m.id !== undefined) send({ id: m.id, result: m.method === "textDocument/diagnostic" ? { items: [] } : null });`;
    const needs = [
      { program: "no-such-checker", operations: ["diagnostics"], remedy: "install it" },
      { program: "no-such-formatter", operations: ["format"], remedy: "install that" },
      { program: "node", operations: ["hover"], remedy: "it is here" },
    ];
    const { write, ask, servers } = world(test, { kinds: scripted(body).map((kind) => ({ ...kind, needs })) });
    const path = write("x.odd", "a\n");
    const lacks = "the odd language server answers diagnostics through no-such-checker, which is not here — install it";
    assert.deepEqual(await ask({ operation: "diagnostics", path: "x.odd" }), { status: "error", output: lacks });
    assert.match((await ask({ operation: "format", path: "x.odd" })).output, /answers format through no-such-formatter, which is not here/);
    assert.equal((await ask({ operation: "hover", path: "x.odd", line: 1 })).output, "nothing is known about this place");
    const diagnostics = new EditDiagnostics(servers);
    assert.equal(await diagnostics.of(path, "x.odd", "a\n", "b\n"), `[no diagnostics for this edit: ${lacks}]`);
    assert.equal(await diagnostics.of(path, "x.odd", "b\n", "c\n"), undefined);
    const nothing = world(test, {
      kinds: scripted(body).map((kind) => ({ ...kind, needs: [{ program: "no-such-base", remedy: "get it" }] })),
    });
    nothing.write("x.odd", "a\n");
    assert.match(
      (await nothing.ask({ operation: "hover", path: "x.odd", line: 1 })).output,
      /works through no-such-base, which is not here — get it/,
    );
  });

  it("works on what somebody changes meanwhile: nothing is written over it", async (test) => {
    const { workspace, write, ask } = world(test, {
      kinds: scripted(`
    if (m.method === "initialize") send({ id: m.id, result: { capabilities: { renameProvider: true, documentFormattingProvider: true, diagnosticProvider: {} } } });
    else if (m.method === "textDocument/rename" || m.method === "textDocument/formatting") {
      globalThis.asked = (globalThis.asked ?? 0) + 1;
      const other = m.params.newName === "closed" ? "b.odd" : "a.odd";
      if (globalThis.asked % 2 === 0 || m.method === "textDocument/formatting") require("node:fs").writeFileSync(other, "a person's\\n");
      const edits = [{ range: { start: { line: 0, character: 0 }, end: { line: 0, character: 1 } }, newText: "X" }];
      const uri = m.params.textDocument.uri;
      send({ id: m.id, result: m.method === "textDocument/formatting" ? edits : { changes: { [uri]: edits, [uri.replace("a.odd", "b.odd")]: edits } } });
    } else if (m.id !== undefined) send({ id: m.id, result: { items: [] } });`),
    });
    const both = (): void => ["a.odd", "b.odd"].forEach((name) => void write(name, "one\n"));
    const texts = (): string[] => ["a.odd", "b.odd"].map((name) => readFileSync(join(workspace, name), "utf8"));
    for (const [name, left] of [
      ["open", ["a person's\n", "one\n"]],
      ["closed", ["one\n", "a person's\n"]],
    ] as const) {
      both();
      const renamed = await ask({ operation: "rename", path: "a.odd", line: 1, new_name: name });
      assert.match(renamed.output, /[ab]\.odd was changed while the language server worked on it; nothing was written/);
      assert.deepEqual(texts(), left);
    }
    both();
    assert.equal((await ask({ operation: "format", path: "a.odd" })).status, "error");
    assert.deepEqual(texts(), ["a person's\n", "one\n"]);
  });

  it("cannot do what is asked: it is told, instead of an empty answer", async (test) => {
    const { write, ask } = world(test, { kinds: scripted(INITIALIZED) });
    write("x.odd", "a\n");
    assert.deepEqual(await ask({ operation: "references", path: "x.odd", line: 1 }), {
      status: "error",
      output: "the odd language server cannot answer references",
    });
  });

  it("dies again and again: it is given up after three new starts", async (test) => {
    const { write, ask, servers } = world(test, { kinds: scripted("process.stderr.write('it hurts'); process.exit(3);") });
    write("x.odd", "a\n");
    const first = await ask({ operation: "hover", path: "x.odd", line: 1 });
    assert.match(first.output, /the odd language server has died 4 times and is given up/);
    assert.equal((await ask({ operation: "hover", path: "x.odd", line: 1 })).status, "error");
    assert.match(
      (await new EditDiagnostics(servers).of("/w/x.odd", "x.odd", "", "y")) ?? "",
      /no diagnostics for this edit: the odd language server has died/,
    );
    assert.deepEqual(servers.running, []);
  });

  it("never gets ready, or sends garbage", async (test) => {
    const silent = world(test, { kinds: scripted(""), startMs: 200 });
    silent.write("x.odd", "a\n");
    assert.match((await silent.ask({ operation: "hover", path: "x.odd", line: 1 })).output, /died 4 times and is given up/);
    const garbled = world(test, { kinds: scripted("process.stdout.write('x'.repeat(10000));") });
    garbled.write("x.odd", "a\n");
    await assert.rejects(garbled.servers.of(join(garbled.workspace, "x.odd")), (error) => GuildError.is(error, "unavailable"));
  });
});

it("messages are split wherever the bytes are, and edits made wherever they overlap not", () => {
  const bytes = Buffer.concat([frame({ id: 1, result: "ä" }), frame({ method: "x" })]);
  for (let at = 1; at < bytes.length; at++) {
    const stream = new MessageStream();
    const messages = [...stream.push(bytes.subarray(0, at)), ...stream.push(bytes.subarray(at))];
    assert.deepEqual(
      messages.map(({ result, method }) => result ?? method),
      ["ä", "x"],
    );
  }
  const place = (line: number, character: number) => ({ line, character });
  const edits = [
    { from: place(1, 0), to: place(1, 1), text: "B" },
    { from: place(0, 1), to: place(0, 1), text: "!" },
  ];
  assert.equal(applyEdits("a\nb\n", edits), "a!\nB\n");
  assert.throws(
    () =>
      applyEdits("abc", [
        { from: place(0, 0), to: place(0, 2), text: "" },
        { from: place(0, 1), to: place(0, 3), text: "" },
      ]),
    /overlap/,
  );
});
