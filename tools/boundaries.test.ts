import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";

const root = dirname(import.meta.dirname);

/** The table of AGENTS.md: what each package may import, of ours. */
const table: Record<string, string[]> = {
  protocol: [],
  core: ["protocol"],
  models: ["core", "protocol"],
  sandbox: ["core", "protocol"],
  environment: ["core", "protocol"],
  knowledge: ["core", "protocol"],
  extensions: ["core", "protocol"],
  code: ["core", "protocol"],
  agent: ["core", "protocol"],
  orchestrator: ["core", "protocol"],
  server: ["core", "protocol", "models", "sandbox", "environment", "knowledge", "extensions", "code", "agent", "orchestrator"],
  cli: ["core", "protocol"],
};

const names = Object.keys(table);

/** Imports that the linter refuses, by file, when every package imports every other one. */
function refusals(file: string, imports: (name: string) => string[]): Map<string, string[]> {
  const directory = mkdtempSync(join(tmpdir(), "guildhall-lint-"));
  try {
    const config = JSON.parse(readFileSync(join(root, ".oxlintrc.json"), "utf8")) as object;
    writeFileSync(join(directory, ".oxlintrc.json"), JSON.stringify({ ...config, options: {} }));
    for (const name of names) {
      mkdirSync(dirname(join(directory, "packages", name, file)), { recursive: true });
      writeFileSync(
        join(directory, "packages", name, file),
        imports(name)
          .map((specifier) => `export * from "${specifier}";\n`)
          .join(""),
      );
    }
    const { stdout } = spawnSync(join(root, "node_modules/.bin/oxlint"), ["-f", "json"], {
      cwd: directory,
      encoding: "utf8",
    });
    const { diagnostics } = JSON.parse(stdout) as { diagnostics: Array<{ code: string; message: string; filename: string }> };
    const refused = diagnostics.filter((diagnostic) => diagnostic.code.includes("no-restricted-imports"));
    return new Map(
      names.map((name) => [
        name,
        refused
          .filter((diagnostic) => diagnostic.filename.includes(`packages/${name}/`))
          .map((diagnostic) => /'([^']+)'/.exec(diagnostic.message)?.[1] ?? diagnostic.message)
          .toSorted(),
      ]),
    );
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test("a package may import those of ours that the table allows, and no other", () => {
  const found = refusals("src/probe.ts", (name) => names.filter((other) => other !== name).map((other) => `@guildhall/${other}`));
  for (const name of names) {
    const forbidden = names.filter((other) => other !== name && !table[name]?.includes(other)).map((other) => `@guildhall/${other}`);
    assert.deepEqual(found.get(name), forbidden.toSorted(), name);
  }
});

test("no package reaches into another by a relative path", () => {
  const found = refusals("src/probe.ts", (name) => [`../../${name === "core" ? "agent" : "core"}/src/index.ts`]);
  for (const name of names) assert.equal(found.get(name)?.length, 1, name);
});

test("fakes and contract suites are for tests", () => {
  const imports = (name: string): string[] => (table[name]?.includes("core") ? ["@guildhall/core/testing"] : []);
  const found = refusals("src/probe.ts", imports);
  const inTests = refusals("src/probe.test.ts", imports);
  for (const name of names) {
    assert.deepEqual(found.get(name), imports(name), name);
    assert.deepEqual(inTests.get(name), [], name);
  }
});
