import assert from "node:assert/strict";
import { existsSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";

import { FakeToolSession, processSandbox } from "@guildhall/core/testing";

import { EditDiagnostics } from "./edit-diagnostics.ts";
import { LanguageServers } from "./language-servers.ts";
import { createLspTool } from "./lsp-tool.ts";

/** Servers as Debian has them: too big for every machine, so they run under `npm run test:full` where they are installed. */
const full = process.env["GUILD_TEST_FULL"] === "1";
const found = (...paths: string[]): string | undefined => paths.find((path) => existsSync(path));
const go = found("/usr/bin/gopls");
const c = found("/usr/bin/clangd", "/usr/bin/clangd-14");

const CASES = [
  {
    language: "go",
    program: go,
    programs: {},
    files: {
      "go.mod": "module example.test/a\n\ngo 1.19\n",
      "b.go": "package a\n\n// Twice is two times n.\nfunc Twice(n int) int { return n * 2 }\n",
    },
    file: "a.go",
    good: "package a\n\nfunc Four() int { return Twice(2) }\n",
    bad: 'package a\n\nfunc Four() int { return Twice("2") }\n',
    said: /a\.go:3:32: error .*cannot use "2"/,
    at: { line: 3, symbol: "Twice" },
    definition: /b\.go:4:6: func Twice/,
    references: /b\.go:4:6.*a\.go:3:26/s,
    hover: /Twice is two times n/,
  },
  {
    language: "c",
    program: c,
    programs: c === undefined ? {} : { clangd: c },
    files: { "b.h": "/** Two times n. */\nint twice(int n);\n", "compile_flags.txt": "-xc\n" },
    file: "a.c",
    good: '#include "b.h"\nint four(void) { return twice(2); }\n',
    bad: '#include "b.h"\nint four(void) { return twice("2", 3); }\n',
    said: /a\.c:2:36: error .*[Tt]oo many arguments/,
    at: { line: 2, symbol: "twice" },
    definition: /b\.h:2:5: int twice/,
    references: /a\.c:2:25/,
    hover: /Two times n/,
  },
] as const;

describe("language servers as Debian has them", () => {
  for (const one of CASES.filter(({ program }) => full && program !== undefined)) {
    it(`answer about ${one.language}, and tell what an edit of it has broken`, async (test) => {
      const workspace = realpathSync(mkdtempSync(join(tmpdir(), "guild-servers-")));
      for (const [name, text] of Object.entries({ ...one.files, [one.file]: one.good })) writeFileSync(join(workspace, name), text);
      const { sandbox, close } = processSandbox(workspace);
      const servers = new LanguageServers({
        sandbox: Promise.resolve(sandbox),
        programs: one.programs,
        startMs: 120_000,
        watched: workspace,
      });
      test.after(async () => {
        await servers.close();
        close();
        rmSync(workspace, { recursive: true, force: true });
      });
      const tool = createLspTool(servers);
      const session = new FakeToolSession({ workspace });
      const context = { ...session.context(), session: { sandbox, blobs: session.blobs, get: session.get.bind(session) } };
      const ask = async (operation: string): Promise<string> => {
        const question = tool.schema.parse({ operation, path: one.file, ...one.at });
        // A busy machine: it says that it has not looked yet.
        let answer = await tool.execute(question, context);
        for (let round = 0; round < 20 && answer.status === "error"; round++) answer = await tool.execute(question, context);
        return answer.output;
      };
      assert.match(await ask("definition"), one.definition);
      assert.match(await ask("references"), one.references);
      assert.match(await ask("hover"), one.hover);
      const path = join(workspace, one.file);
      writeFileSync(path, one.bad);
      const told = (await new EditDiagnostics(servers, { patienceMs: 120_000 }).of(path, one.file, one.good, one.bad)) ?? "";
      assert.match(told, /new with this edit/);
      assert.match(told, one.said);
    });
  }
});
