import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";

import { GuildError } from "@guildhall/core";

import { hostFiles } from "../../project/host-files.ts";
import { nixSource } from "./nix-source.ts";

/** How a Nix of somebody answers: with what it prints for a shell, what it warns of, and how it says that an evaluation fails. */
interface Vendor {
  name: string;
  shell: object;
  warns: string;
  fails: string;
}

const exported = (value: string) => ({ type: "exported", value });
const variables = { PATH: exported("/nix/store/a-greet/bin"), GREETING: exported("hello"), shellHook: { type: "var", value: "true" } };
const TRACE = `error:
       … while evaluating the attribute 'body'

         at /w/flake.nix:4:3:

            3|
            4|   body = x "y";
             |   ^

       … from call site

         at /w/flake.nix:4:10:

       error: assertion 'ready' failed

       at /w/flake.nix:2:12:
`;

/**
 * Neither Lix nor Determinate Nix nor a newer Nix can be had where these tests are written: a program stands for each that answers in the form which
 * that one's own published tests and sources show. Debian's Nix 2.8 runs in the other tests.
 */
const VENDORS: readonly Vendor[] = [
  {
    name: "Nix 2.8",
    shell: { bashFunctions: {}, variables },
    warns: "",
    fails: "error: assertion 'ready' failed\n\n       at /w/flake.nix:2:12:\n",
  },
  {
    name: "Nix 2.24",
    shell: { bashFunctions: {}, variables, structuredAttrs: { ".attrs.json": "{}" } },
    warns: "warning: Git tree '/w' is dirty\n",
    fails: TRACE,
  },
  { name: "Lix 2.91", shell: { bashFunctions: {}, variables }, warns: "warning: unknown setting 'eval-cores'\n", fails: TRACE },
  {
    name: "Determinate Nix 3",
    shell: { bashFunctions: {}, variables: { ...variables, NIX_ENFORCE_PURITY: exported("1") }, structuredAttrs: null },
    warns: "warning: You don't have Internet access; disabling some network-dependent features.\n",
    fails: TRACE,
  },
];

function standIn(test: TestContext, { shell, warns, fails }: Vendor, script: string): string {
  const place = realpathSync(mkdtempSync(join(tmpdir(), "guild-vendor-")));
  test.after(() => rmSync(place, { recursive: true }));
  const files = { "shell.json": JSON.stringify(shell), warns, fails };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(place, name), text);
  writeFileSync(join(place, "nix"), `#!/bin/sh\necho "$@" >> ${place}/calls\ncd ${place}\ncat warns >&2\n${script}\n`, { mode: 0o755 });
  return place;
}

describe("Nix as others have it", () => {
  for (const vendor of VENDORS) {
    it(`${vendor.name}: its shell is read, and it is asked in words that all of them know`, async (test) => {
      const { place, found } = await resolved(
        test,
        vendor,
        "case $1 in eval) printf /nix/store/x-shell.drv;; print-dev-env) cat shell.json;; esac",
      );
      const environment = await found;
      assert.deepEqual([environment.variables, environment.path], [{ GREETING: "hello" }, ["/nix/store/a-greet/bin"]]);
      const calls = readFileSync(join(place, "calls"), "utf8").trim().split("\n");
      assert.match(calls[0] ?? "", /^eval --raw path:\S+#devShells\.\S+\.default\.drvPath --no-update-lock-file$/);
      assert.match(calls[1] ?? "", /^print-dev-env --json --profile \S+ path:\S+ --no-update-lock-file$/);
    });

    it(`${vendor.name}: what is wrong is said in one line, without the way to it`, async (test) => {
      const { found } = await resolved(test, vendor, "cat fails >&2; exit 1");
      await assert.rejects(found, (error) => {
        assert.ok(GuildError.is(error, "invalid_argument"));
        assert.match(error.line, /^Nix says: assertion 'ready' failed at \S+flake\.nix:2:12:[^\n]*$/);
        return true;
      });
      const stale = await resolved(
        test,
        vendor,
        "echo \"error: flake 'path:/w' requires lock file changes but they're not allowed due to '--no-update-lock-file'\" >&2; exit 1",
      );
      await assert.rejects(stale.found, /the flake's lock file is out of date/);
    });
  }
});

async function resolved(test: TestContext, vendor: Vendor, script: string) {
  const place = standIn(test, vendor, script);
  const workspace = realpathSync(mkdtempSync(join(tmpdir(), "guild-vendor-project-")));
  test.after(() => rmSync(workspace, { recursive: true }));
  writeFileSync(join(workspace, "flake.nix"), "{ outputs = _: { }; }");
  const source = nixSource({
    setup: {
      command: [join(place, "nix")],
      directory: join(place, "nix-home"),
      storeRoot: undefined,
      user: undefined,
      substituters: [],
      trustedKeys: [],
      timeoutMs: 60_000,
    },
    cacheFile: undefined,
    sandbox: { mounts: true, pure: true },
  });
  const found = source.resolve({
    workspace,
    facts: { ecosystems: [], services: [], declared: [], problems: [] },
    files: hostFiles(workspace),
    trusted: true,
    signal: new AbortController().signal,
    progress: () => undefined,
  });
  found.catch(() => undefined); // awaited by the test
  return { place, found };
}
