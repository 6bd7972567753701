import assert from "node:assert/strict";
import { existsSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, describe, it } from "node:test";

import { FakeToolSession, processSandbox } from "@guildhall/core/testing";

import { EditDiagnostics } from "./edit-diagnostics.ts";
import { LanguageServers } from "./language-servers.ts";
import { createLspTool } from "./lsp-tool.ts";

const require = createRequire(import.meta.url);
/** A program of an npm package, by the package's own table. */
function program(name: string, of: string): string {
  const manifest = require.resolve(`${of}/package.json`);
  const { bin } = require(manifest) as { bin: Record<string, string> };
  return join(dirname(manifest), bin[name] ?? "");
}

const programs = {
  "pyright-langserver": program("pyright-langserver", "pyright"),
  "bash-language-server": program("bash-language-server", "bash-language-server"),
  "yaml-language-server": program("yaml-language-server", "yaml-language-server"),
  ...Object.fromEntries(
    ["json", "css", "html"].map((kind) => [
      `vscode-${kind}-language-server`,
      program(`vscode-${kind}-language-server`, "vscode-langservers-extracted"),
    ]),
  ),
};

function isHere(name: string): boolean {
  return (process.env["PATH"] ?? "").split(":").some((directory) => existsSync(join(directory, name)));
}

interface Case {
  file: string;
  good: string;
  bad: string | undefined;
  said: RegExp | undefined;
  ask: object;
  answer: RegExp;
  /** Further questions about the right text. */
  more?: Array<{ answer: RegExp; operation: string; line?: number; column?: number }>;
}

/** A right text, a wrong one, what is said of the wrong one, and a question that has an answer in the right one. */
const CASES: Case[] = [
  {
    file: "a.py",
    good: "def add(a: int, b: int) -> int:\n    return a + b\n\nadd(1, 2)\n",
    bad: 'def add(a: int, b: int) -> int:\n    return a + b\n\nadd(1, "2")\n',
    said: /a\.py:4:8: error reportArgumentType/,
    ask: { operation: "references", line: 1, symbol: "add" },
    answer: /a\.py:4:1: add\(1, 2\)/,
  },
  {
    file: "a.sh",
    good: "#!/bin/bash\ngreet() { echo hello; }\ngreet\n",
    bad: "#!/bin/bash\nif true; then\n",
    // It finds faults through shellcheck alone, which is another program.
    said: isHere("shellcheck") ? /a\.sh:2:\d+: error SC\d+/ : /no diagnostics for this edit: .* through shellcheck, which is not here/,
    ask: { operation: "definition", line: 3, symbol: "greet" },
    answer: /a\.sh:2:1: greet\(\)/,
    more: [{ operation: "format", answer: isHere("shfmt") ? /changed a\.sh/ : /answers format through shfmt, which is not here/ }],
  },
  {
    file: "a.yaml",
    good: "one: 1\ntwo:\n  - 2\n",
    bad: "one: 1\none: [\n",
    said: /a\.yaml:\d+:\d+: error/,
    ask: { operation: "symbols" },
    answer: /two/,
  },
  {
    file: "a.json",
    good: '{ "one": { "two": 2 } }\n',
    bad: '{ "one": { "two": 2 }\n',
    said: /a\.json:\d+:\d+: error/,
    ask: { operation: "symbols" },
    answer: /two/,
    more: [{ operation: "format", answer: /changed a\.json/ }],
  },
  {
    file: "a.css",
    good: ".box { color: red; }\n.other { colr: red; }\n",
    bad: ".box { color: ; }\n",
    said: /a\.css:1:\d+: error/,
    ask: { operation: "hover", line: 1, symbol: "color" },
    answer: /^(?![\s\S]*data:image)[\s\S]*color/i,
    more: [
      { operation: "code_actions", line: 2, column: 2, answer: /Rename to 'color'/ },
      { operation: "format", answer: /changed a\.css/ },
      { operation: "completion", line: 1, column: 11, answer: /color/ },
    ],
  },
  {
    file: "a.html",
    good: "<p>one</p>\n<div id='two'></div>\n",
    bad: undefined, // it takes any text for HTML
    said: undefined,
    ask: { operation: "symbols" },
    answer: /div/,
    more: [
      { operation: "completion", line: 2, column: 5, answer: /div/ },
      { operation: "format", answer: /changed a\.html|nothing to change/ },
    ],
  },
];

describe("language servers as npm has them", { concurrency: 2 }, () => {
  const workspace = realpathSync(mkdtempSync(join(tmpdir(), "guild-servers-")));
  const { sandbox, close } = processSandbox(workspace);
  const servers = new LanguageServers({ sandbox: Promise.resolve(sandbox), programs, startMs: 120_000 });
  const diagnostics = new EditDiagnostics(servers, { patienceMs: 120_000 });
  const tool = createLspTool(servers);
  after(async () => {
    await servers.close();
    close();
    rmSync(workspace, { recursive: true, force: true });
  });

  for (const { file, good, bad, said, ask, answer, more = [] } of CASES) {
    it(`answer about ${file}, and tell what an edit of it has broken`, async () => {
      const path = join(workspace, file);
      writeFileSync(path, good);
      const session = new FakeToolSession({ workspace });
      const context = { ...session.context(), session: { sandbox, blobs: session.blobs, get: session.get.bind(session) } };
      const asked = async (of: object): Promise<string> => {
        const question = tool.schema.parse({ path: file, ...of });
        let answered = await tool.execute(question, context);
        // A busy machine: it says that it has not looked yet.
        if (answered.status === "error") answered = await tool.execute(question, context);
        return answered.output;
      };
      assert.match(await asked(ask), answer);
      for (const { answer: wanted, ...question } of more) assert.match(await asked(question), wanted);
      if (bad === undefined || said === undefined) return;
      writeFileSync(path, bad);
      const told = (await diagnostics.of(path, file, good, bad)) ?? "";
      assert.match(told, /new with this edit|no diagnostics/);
      assert.match(told, said);
    });
  }
});
