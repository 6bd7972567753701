import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, it, type TestContext } from "node:test";

import { GuildError } from "@guildhall/core";
import { FakeToolSession, processSandbox } from "@guildhall/core/testing";

import { LanguageServers, type ServerSource } from "./language-servers.ts";
import { createLspTool } from "./lsp-tool.ts";
import { serverKinds } from "./server-kinds.ts";
import { SharedServers } from "./shared-servers.ts";

const require = createRequire(join(import.meta.dirname, "../../../server/src/index.ts"));
const manifest = require.resolve(`@typescript/typescript-${process.platform}-${process.arch}/package.json`);
const programs = { "tsc-native": join(dirname(manifest), "lib/tsc") };

function project(test: TestContext) {
  const workspace = realpathSync(mkdtempSync(join(tmpdir(), "guild-shared-")));
  const write = (name: string, text: string): void => writeFileSync(join(workspace, name), text);
  write("tsconfig.json", '{"compilerOptions": {"strict": true, "types": []}}');
  write("a.ts", 'import { c } from "./c";\nexport const n: number = c;\n');
  test.after(() => rmSync(workspace, { recursive: true, force: true }));
  const { sandbox, close } = processSandbox(workspace);
  test.after(close);
  const ask = async (servers: ServerSource, input: Record<string, unknown>): Promise<string> => {
    const session = new FakeToolSession({ workspace });
    const tool = createLspTool(servers);
    const context = { ...session.context(), session: { sandbox, blobs: session.blobs, get: session.get.bind(session) } };
    return (await tool.execute(tool.schema.parse(input), context)).output;
  };
  return { workspace, write, sandbox, ask };
}

describe("language servers that sessions of one place share", () => {
  it("are one, in a sandbox of their own, and end with the last session", async (test) => {
    const { workspace, write, ask } = project(test);
    write("c.ts", "export const c = 1;\n");
    const shared = new SharedServers();
    test.after(() => shared.close());
    let opened = 0;
    const ended: string[] = [];
    const place = (key: string) => ({
      key,
      watched: workspace,
      kinds: serverKinds,
      programs,
      open: async () => {
        const { sandbox, close } = processSandbox(workspace);
        opened += 1;
        const own = `${key} ${opened}`;
        sandbox.dispose = async () => {
          ended.push(own);
          close();
        };
        return sandbox;
      },
    });
    const [one, two, other] = [shared.join(place("same")), shared.join(place("same")), shared.join(place("other"))];
    assert.equal(opened, 0, "nothing starts before it is asked");
    const answers = await Promise.all(
      [one, two, other].map((member) => ask(member, { operation: "definition", path: "a.ts", line: 2, symbol: "c;" })),
    );
    for (const answer of answers) assert.match(answer, /c\.ts:1:14/);
    assert.equal(opened, 2);
    assert.deepEqual(
      shared.places.toSorted((a, b) => a - b),
      [1, 2],
    );
    const [first, second, third] = await Promise.all([one, two, other].map((member) => member.of(join(workspace, "a.ts"))));
    assert.equal(first?.server, second?.server);
    assert.notEqual(first?.server, third?.server);
    // A document is open as long as somebody has it.
    await ask(one, { operation: "symbols", path: "c.ts" });
    assert.equal(first?.server.documents, 2);
    await one.leave();
    assert.equal(first?.server.documents, 1);
    assert.deepEqual(ended, []);
    await assert.rejects(one.of(join(workspace, "a.ts")), (error) => GuildError.is(error, "unavailable"));
    assert.match(await ask(two, { operation: "diagnostics", path: "a.ts" }), /no problems/);
    await two.leave();
    assert.equal(first?.server.ended, "it was closed");
    assert.equal(ended.length, 1);
    assert.deepEqual(shared.places, [1]);
  });

  it("come again in another sandbox when theirs has ended", async (test) => {
    const { workspace, write, ask } = project(test);
    write("c.ts", "export const c = 1;\n");
    const shared = new SharedServers();
    test.after(() => shared.close());
    const gone = Promise.withResolvers<string>();
    let opened = 0;
    const member = shared.join({
      key: "k",
      watched: workspace,
      kinds: serverKinds,
      programs,
      open: async () => {
        const { sandbox, close } = processSandbox(workspace);
        opened += 1;
        return Object.assign(sandbox, { gone: opened === 1 ? gone.promise : new Promise(() => undefined), dispose: async () => close() });
      },
    });
    await ask(member, { operation: "diagnostics", path: "a.ts" });
    gone.resolve("it was killed");
    while (shared.places.length > 0) await new Promise((resolve) => setImmediate(resolve));
    assert.match(await ask(member, { operation: "diagnostics", path: "a.ts" }), /no problems/);
    assert.equal(opened, 2);
  });
});

describe("files that are changed beside a language server", () => {
  it("are told to it: created, changed, removed, open or not, new directories and switched branches included", async (test) => {
    const { workspace, write, sandbox, ask } = project(test);
    const servers = new LanguageServers({ sandbox: Promise.resolve(sandbox), programs, watched: workspace });
    test.after(() => servers.close());
    const diagnostics = async (): Promise<string> => await ask(servers, { operation: "diagnostics", path: "a.ts" });
    assert.match(await diagnostics(), /Cannot find module '\.\/c'/);
    const until = async (expected: RegExp): Promise<void> => {
      // The kernel tells of changes in its own time.
      for (let round = 0; round < 100 && !expected.test(await diagnostics()); round++)
        await new Promise((resolve) => setTimeout(resolve, 50));
      assert.match(await diagnostics(), expected);
    };
    write("c.ts", "export const c = 1;\n");
    await until(/no problems/);
    write("c.ts", 'export const c = "s";\n');
    await until(/Type 'string' is not assignable to type 'number'/);
    await ask(servers, { operation: "symbols", path: "c.ts" });
    write("c.ts", "export const c = 2;\n");
    await until(/no problems/);
    rmSync(join(workspace, "c.ts"));
    await until(/Cannot find module '\.\/c'/);
    mkdirSync(join(workspace, "c"));
    write("c/index.ts", "export const c = 3;\n");
    await until(/no problems/);
    // With a lock file the packages change that nobody watches: it starts anew.
    const { server } = await servers.of(join(workspace, "a.ts"));
    write("package-lock.json", "{}");
    for (let round = 0; round < 100 && server.ended === undefined; round++) {
      await diagnostics();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.equal(server.ended, "it was closed");
    assert.match(await diagnostics(), /no problems/);
  });
});
