import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { delimiter, dirname, join, resolve } from "node:path";
import { after, before, describe, it } from "node:test";

import { FakeToolSession, processSandbox } from "@guildhall/core/testing";

import { detectProject } from "../project/detect-project.ts";
import { hostFiles } from "../project/host-files.ts";
import { PACKAGE, packageRegistry } from "../testing/package-registry.ts";
import { COMPOSER_PACKAGE, GO_MODULE, systemRegistry } from "../testing/system-registry.ts";
import { osvDirectory } from "./advisories.ts";
import { createProjectTool } from "./project-tool.ts";

/** Each call of a real manager takes seconds, and toolchains are large: all that are installed run under `npm run test:full`, else npm alone, and no more than is needed. */
const full = process.env["GUILD_TEST_FULL"] === "1";
const search = (process.env["PATH"] ?? "").split(delimiter);
const has = (program: string): boolean => search.some((directory) => existsSync(join(directory, program)));
const yarn = (): "classic" | "modern" | undefined => {
  try {
    return execFileSync("yarn", ["--version"], { encoding: "utf8", cwd: "/" }).startsWith("1.") ? "classic" : "modern";
  } catch {
    return undefined; // there is none that runs
  }
};

interface Case {
  manager: string;
  here: boolean;
  /** `index`: of crates. */
  files(url: string, index: string): Record<string, string>;
  named?: (version: string) => string;
  /** As it is removed and updated, where not by its own name. */
  name?: string;
  /** The file that names what is asked for; undefined: the manager is asked. */
  manifest: string | undefined;
  env?(url: string, workspace: string): Record<string, string>;
  /** From the registry of what the system brings. */
  system?: boolean;
  /** What `update` reaches: some write an exact version on `add`. */
  updated?: string;
}

const npmrc = (url: string): string => `registry=${url}/\n`;
const CASES: Case[] = [
  {
    manager: "npm",
    here: has("npm"),
    manifest: "package.json",
    files: (url) => ({ "package.json": "{}", ".npmrc": npmrc(url) }),
    updated: "1.1.0",
  },
  {
    manager: "pnpm",
    here: full && has("pnpm"),
    manifest: "package.json",
    files: (url) => ({ "package.json": '{"name": "w"}', "pnpm-lock.yaml": "lockfileVersion: '9.0'\n", ".npmrc": npmrc(url) }),
  },
  {
    manager: "yarn",
    here: full && yarn() === "classic",
    manifest: "package.json",
    files: (url) => ({ "package.json": '{"name": "w"}', "yarn.lock": "# yarn lockfile v1\n", ".npmrc": npmrc(url) }),
  },
  {
    manager: "yarn",
    here: full && yarn() === "modern",
    manifest: "package.json",
    files: (url) => ({
      "package.json": '{"name": "w", "packageManager": "yarn@4"}',
      "yarn.lock": "",
      ".yarnrc.yml": `npmRegistryServer: "${url}"\nunsafeHttpWhitelist: ["127.0.0.1"]\nenableTelemetry: false\nnpmMinimalAgeGate: 0\n`,
    }),
    env: () => ({ YARN_IGNORE_PATH: "1" }),
  },
  {
    manager: "deno",
    here: full && has("deno"),
    manifest: "deno.json",
    files: (url) => ({ "deno.json": '{"imports": {}}', ".npmrc": npmrc(url) }),
    named: (version) => `npm:${PACKAGE}@${version}`,
    env: (url, workspace) => ({ NPM_CONFIG_REGISTRY: url, DENO_DIR: join(workspace, ".deno"), DENO_NO_UPDATE_CHECK: "1" }),
  },
  {
    manager: "bun",
    here: full && has("bun"),
    manifest: "package.json",
    files: (url) => ({
      "package.json": '{"name": "w", "packageManager": "bun@1"}',
      "bunfig.toml": `[install]\nregistry = "${url}/"\nsaveTextLockfile = true\n`,
    }),
  },
  {
    manager: "pip",
    here: full && existsSync("/usr/bin/python3"),
    manifest: undefined,
    files: (url) => ({ "requirements.txt": `${PACKAGE}==1.0.0\n`, ".pip.conf": `[global]\nindex-url = ${url}/simple\n` }),
    named: (version) => `${PACKAGE}==${version}`,
    updated: "1.1.0",
  },
  {
    manager: "poetry",
    here: full && has("poetry"),
    manifest: "pyproject.toml",
    files: (url) => ({
      "pyproject.toml": `[tool.poetry]\nname = "w"\nversion = "0.1.0"\ndescription = ""\nauthors = []\npackages = []\n\n[tool.poetry.dependencies]\npython = "^3.9"\n\n[[tool.poetry.source]]\nname = "local"\nurl = "${url}/simple"\ndefault = true\n`,
      "poetry.toml": "[virtualenvs]\nin-project = true\n",
    }),
    named: (version) => `${PACKAGE}==${version}`,
  },
  {
    manager: "go",
    here: full && has("go") && has("python3"),
    system: true,
    manifest: "go.mod",
    name: GO_MODULE,
    files: () => ({ "go.mod": "module example.test/w\n\ngo 1.19\n", "w.go": "package w\n" }),
    named: (version) => `${GO_MODULE}@v${version}`,
    updated: "1.1.0",
    env: (url, workspace) => ({
      GOPROXY: `${url}/go`,
      GOSUMDB: "off",
      GOFLAGS: "-mod=mod -modcacherw",
      GOTOOLCHAIN: "local",
      GOPATH: join(workspace, ".go"),
    }),
  },
  {
    manager: "cargo",
    here: full && has("cargo"),
    system: true,
    manifest: "Cargo.toml",
    files: (_, index) => ({
      "Cargo.toml": '[package]\nname = "w"\nversion = "0.1.0"\nedition = "2021"\n\n[lib]\npath = "w.rs"\n',
      "w.rs": "",
      ".cargo/config.toml": `[source.crates-io]\nreplace-with = "local"\n\n[source.local]\nregistry = "file://${index}"\n`,
    }),
    named: (version) => `${PACKAGE}@=${version}`,
    // Where cargo is rustup's, it looks for its toolchain there.
    env: () => ({ RUSTUP_HOME: process.env["RUSTUP_HOME"] ?? join(homedir(), ".rustup") }),
  },
  {
    manager: "bundler",
    here: full && has("bundle") && has("gem"),
    system: true,
    manifest: "Gemfile",
    files: (url) => ({ Gemfile: `source "${url}/gems"\n` }),
    env: (_, workspace) => ({ BUNDLE_PATH: join(workspace, ".bundled"), BUNDLE_SILENCE_ROOT_WARNING: "true" }),
  },
  {
    manager: "composer",
    here: full && has("composer"),
    system: true,
    manifest: "composer.json",
    name: COMPOSER_PACKAGE,
    files: (url) => ({
      "composer.json": JSON.stringify({
        name: "w/w",
        repositories: [{ type: "composer", url: `${url}/composer` }, { "packagist.org": false }],
        config: { "secure-http": false },
      }),
    }),
    named: (version) => `${COMPOSER_PACKAGE}:${version}`,
    env: (_, workspace) => ({ COMPOSER_HOME: join(workspace, ".composer"), COMPOSER_ALLOW_SUPERUSER: "1" }),
  },
];

describe("package managers as they really are, at a registry on loopback", () => {
  let directory: string;
  let registry: Awaited<ReturnType<typeof packageRegistry>>;
  let system: Awaited<ReturnType<typeof systemRegistry>>;
  before(async () => {
    directory = realpathSync(mkdtempSync(join(tmpdir(), "guild-managers-")));
    mkdirSync(join(directory, "registry"));
    registry = await packageRegistry(join(directory, "registry"));
    const wanted = (manager: string): boolean => CASES.some((one) => one.manager === manager && one.here);
    const tools = { go: wanted("go"), cargo: wanted("cargo"), bundler: wanted("bundler"), composer: wanted("composer") };
    system = await systemRegistry(join(directory, "system"), tools);
  });
  after(() => {
    registry.close();
    system.close();
    rmSync(directory, { recursive: true, force: true });
  });

  for (const one of CASES.filter(({ here }) => here)) {
    const { manager, files, named = (version: string) => `${PACKAGE}@${version}`, updated, name = PACKAGE, manifest } = one;
    it(`${manager} adds, lists, tells what is outdated, installs, audits, updates and removes`, async (test) => {
      const { url } = one.system === true ? system : registry;
      const workspace = join(directory, manager);
      mkdirSync(workspace);
      for (const [path, text] of Object.entries(files(url, system.index))) {
        mkdirSync(dirname(join(workspace, path)), { recursive: true });
        writeFileSync(join(workspace, path), text);
      }
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
        ...one.env?.(url, workspace),
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
      assert.match(await ask("outdated"), /^\S*guild-left v?1\.0\.0 → v?1\.1\.0$/m);
      if (!full) return;
      assert.match(await ask("list"), /guild-left\W+v?1\.0\.0/);
      await ask("install");
      if (manager === "npm") assert.match(await ask("audit"), /guild-left 1\.0\.0: .*GHSA-left: It leans \(mended in 1\.1\.0\)/);
      await ask("update", [name]);
      if (updated !== undefined) assert.match(await ask("list"), /guild-left\W+v?1\.1\.0/);
      await ask("remove", [name]);
      const left = manifest === undefined ? await ask("list") : readFileSync(join(workspace, manifest), "utf8");
      assert.doesNotMatch(left, /guild-left\W+v?1\.|guild-left"/);
    });
  }
});
