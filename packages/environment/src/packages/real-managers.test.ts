import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join, resolve } from "node:path";
import { after, before, describe, it } from "node:test";

import { FakeToolSession, processSandbox } from "@guildhall/core/testing";

import { detectProject } from "../project/detect-project.ts";
import { hostFiles } from "../project/host-files.ts";
import { PACKAGE, packageRegistry } from "../testing/package-registry.ts";
import { osvDirectory } from "./advisories.ts";
import { createProjectTool } from "./project-tool.ts";

/** Each call of a real manager takes seconds: all that are installed run under `npm run test:full`, else npm alone, and no more than is needed. */
const full = process.env["GUILD_TEST_FULL"] === "1";
const search = (process.env["PATH"] ?? "").split(delimiter);
const has = (program: string): boolean => search.some((directory) => existsSync(join(directory, program)));
const isClassic = (): boolean => {
  try {
    return execFileSync("yarn", ["--version"], { encoding: "utf8" }).startsWith("1.");
  } catch {
    return false; // there is none that runs
  }
};

interface Case {
  manager: string;
  here: boolean;
  files(url: string): Record<string, string>;
  named?: (version: string) => string;
  /** What `update` reaches: some write an exact version on `add`. */
  updated?: string;
}

const npmrc = (url: string): string => `registry=${url}/\n`;
const CASES: Case[] = [
  { manager: "npm", here: has("npm"), files: (url) => ({ "package.json": "{}", ".npmrc": npmrc(url) }), updated: "1.1.0" },
  {
    manager: "pnpm",
    here: full && has("pnpm"),
    files: (url) => ({ "package.json": '{"name": "w"}', "pnpm-lock.yaml": "lockfileVersion: '9.0'\n", ".npmrc": npmrc(url) }),
  },
  {
    manager: "yarn",
    here: full && isClassic(),
    files: (url) => ({ "package.json": '{"name": "w"}', "yarn.lock": "# yarn lockfile v1\n", ".npmrc": npmrc(url) }),
  },
  {
    manager: "bun",
    here: full && has("bun"),
    files: (url) => ({
      "package.json": '{"name": "w", "packageManager": "bun@1"}',
      "bunfig.toml": `[install]\nregistry = "${url}/"\nsaveTextLockfile = true\n`,
    }),
  },
  {
    manager: "pip",
    here: full && existsSync("/usr/bin/python3"),
    files: (url) => ({ "requirements.txt": `${PACKAGE}==1.0.0\n`, ".pip.conf": `[global]\nindex-url = ${url}/simple\n` }),
    named: (version) => `${PACKAGE}==${version}`,
    updated: "1.1.0",
  },
  {
    manager: "poetry",
    here: full && has("poetry"),
    files: (url) => ({
      "pyproject.toml": `[tool.poetry]\nname = "w"\nversion = "0.1.0"\ndescription = ""\nauthors = []\npackages = []\n\n[tool.poetry.dependencies]\npython = "^3.9"\n\n[[tool.poetry.source]]\nname = "local"\nurl = "${url}/simple"\ndefault = true\n`,
      "poetry.toml": "[virtualenvs]\nin-project = true\n",
    }),
    named: (version) => `${PACKAGE}==${version}`,
  },
];

describe("package managers as they really are, at a registry on loopback", () => {
  let directory: string;
  let registry: Awaited<ReturnType<typeof packageRegistry>>;
  before(async () => {
    directory = realpathSync(mkdtempSync(join(tmpdir(), "guild-managers-")));
    mkdirSync(join(directory, "registry"));
    registry = await packageRegistry(join(directory, "registry"));
  });
  after(() => {
    registry.close();
    rmSync(directory, { recursive: true, force: true });
  });

  for (const { manager, here, files, named = (version: string) => `${PACKAGE}@${version}`, updated } of CASES.filter((one) => one.here)) {
    it(`${manager} adds, lists, tells what is outdated, installs, audits, updates and removes`, async (test) => {
      assert.ok(here);
      const workspace = join(directory, manager);
      mkdirSync(workspace);
      for (const [name, text] of Object.entries(files(registry.url))) writeFileSync(join(workspace, name), text);
      if (manager === "pip") execFileSync("/usr/bin/python3", ["-m", "venv", ".venv"], { cwd: workspace });
      const { sandbox, close } = processSandbox(workspace);
      test.after(close);
      const path = [join(workspace, ".venv/bin"), dirname(process.execPath), ...search].join(delimiter);
      const exec = sandbox.exec.bind(sandbox);
      const own = {
        PATH: path,
        HOME: join(workspace, ".home"),
        PIP_CONFIG_FILE: join(workspace, ".pip.conf"),
        YARN_CACHE_FOLDER: join(workspace, ".yarn"),
      };
      sandbox.files.stat = async (path) => {
        const { size, mode, mtimeMs, nlink: links, uid, gid } = lstatSync(resolve(workspace, path));
        return { kind: "file", size, mode, mtimeMs, links, uid, gid, inode: 1n };
      };
      sandbox.exec = (spec) => exec({ ...spec, env: { ...own, ...spec.env } });
      const advisories = join(workspace, ".osv");
      mkdirSync(advisories);
      const affected = [
        { package: { ecosystem: "npm", name: PACKAGE }, ranges: [{ type: "SEMVER", events: [{ introduced: "0" }, { fixed: "1.1.0" }] }] },
      ];
      writeFileSync(join(advisories, "one.json"), JSON.stringify({ id: "GHSA-left", summary: "It leans", affected }));
      const tool = createProjectTool({ facts: () => detectProject(hostFiles(workspace)), advisories: osvDirectory(advisories) });
      const session = new FakeToolSession({ workspace });
      const context = { ...session.context(), session: { sandbox, blobs: session.blobs, get: session.get.bind(session) } };
      const ask = async (action: string, packages?: string[]): Promise<string> => {
        const answer = await tool.execute(tool.schema.parse({ action, manager, ...(packages === undefined ? {} : { packages }) }), context);
        assert.equal(answer.status, "ok", `${action}: ${answer.output}`);
        return answer.output;
      };
      await ask("add", [named("1.0.0")]);
      assert.match(await ask("outdated"), /1\.0\.0.*1\.1\.0/s);
      if (!full) return;
      assert.match(await ask("list"), /guild-left\W+1\.0\.0/);
      await ask("install");
      if (manager === "npm") assert.match(await ask("audit"), /guild-left 1\.0\.0: .*GHSA-left: It leans \(mended in 1\.1\.0\)/);
      await ask("update", [PACKAGE]);
      if (updated !== undefined) assert.match(await ask("list"), /guild-left\W+1\.1\.0/);
      await ask("remove", [PACKAGE]);
      const left =
        manager === "pip"
          ? await ask("list")
          : readFileSync(join(workspace, manager === "poetry" ? "pyproject.toml" : "package.json"), "utf8");
      assert.doesNotMatch(left, /guild-left\W+1\.|"guild-left"/);
    });
  }
});
