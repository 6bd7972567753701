import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

type Files = Readonly<Record<string, string>>;

/** Small projects as people write them, one an ecosystem: path and text of each file. */
export const fixtureProjects: Readonly<Record<string, Files>> = {
  npm: {
    "package.json": JSON.stringify({
      name: "shop",
      scripts: { build: "tsc -b", test: "node --test", lint: "eslint .", format: "prettier --write .", dev: "vite" },
      engines: { node: ">=20" },
      devDependencies: { typescript: "^5.6.0", eslint: "^9" },
    }),
    "package-lock.json": '{"lockfileVersion": 3}',
    "tsconfig.json": "{}",
    ".nvmrc": "v22\n",
  },
  pnpm: {
    "package.json": JSON.stringify({
      packageManager: "pnpm@9.12.0",
      scripts: { test: "vitest run" },
      devDependencies: { "@biomejs/biome": "1" },
    }),
    "pnpm-lock.yaml": "lockfileVersion: '9.0'\n",
    "pnpm-workspace.yaml": "packages: [packages/*]\n",
    "packages/ui/package.json": JSON.stringify({ name: "ui", scripts: { storybook: "storybook dev" } }),
  },
  yarn: { "package.json": JSON.stringify({ scripts: { test: "jest" } }), "yarn.lock": "__metadata:\n  version: 8\n" },
  bun: { "package.json": JSON.stringify({ scripts: { test: "bun test" } }), "bun.lock": "{}\n" },
  pip: {
    "requirements.txt": "flask==3.0\n# tools\nblack\n",
    "requirements-dev.txt": "pytest>=8\nflake8\n",
    "tests/test_app.py": "def test_it(): pass\n",
    ".python-version": "3.12\n",
  },
  uv: {
    "pyproject.toml":
      '[project]\nname = "api"\nrequires-python = ">=3.11,<4"\ndependencies = ["fastapi"]\n[dependency-groups]\ndev = ["pytest", "ruff", "mypy"]\n[build-system]\nrequires = ["hatchling"]\n[project.scripts]\nserve = "api:main"\n',
    "uv.lock": "version = 1\n",
  },
  poetry: {
    "pyproject.toml":
      '[tool.poetry]\nname = "etl"\n[tool.poetry.dependencies]\npython = "^3.10"\n[tool.poetry.group.dev.dependencies]\npytest = "*"\npylint = "*"\n',
    "poetry.lock": "",
  },
  cargo: {
    "Cargo.toml": '[package]\nname = "cli"\nversion = "0.1.0"\nrust-version = "1.75"\n',
    "Cargo.lock": "version = 3\n",
    "src/main.rs": "fn main() {}\n",
    "rust-toolchain.toml": '[toolchain]\nchannel = "1.80.0"\n',
  },
  go: { "go.mod": "module example.com/svc\n\ngo 1.22\n\ntoolchain go1.22.5\n", "go.sum": "", "main.go": "package main\n" },
  maven: {
    "pom.xml": "<project><build><plugins><plugin><artifactId>spotless-maven-plugin</artifactId></plugin></plugins></build></project>",
    mvnw: "#!/bin/sh\n",
  },
  gradle: { "build.gradle.kts": 'plugins { application; id("com.diffplug.spotless") }\n', gradlew: "#!/bin/sh\n", "gradle.lockfile": "" },
  bundler: {
    Gemfile: 'source "https://example.com"\ngem "rails"\ngroup :test do\n  gem "rspec-rails"\nend\n',
    "Gemfile.lock": "",
    ".ruby-version": "3.3.1\n",
    ".rubocop.yml": "",
  },
  composer: {
    "composer.json": JSON.stringify({
      require: { php: "^8.2" },
      "require-dev": { "phpunit/phpunit": "^11", "phpstan/phpstan": "^1" },
      scripts: { format: ["pint"] },
    }),
    "composer.lock": "{}",
  },
  dotnet: { "App.sln": "", "src/App/App.csproj": "<Project />", "global.json": '{ "sdk": { "version": "8.0.100" } }' },
  mix: {
    "mix.exs": 'defp deps, do: [{:phoenix, "~> 1.7"}, {:credo, "~> 1.7"}]\n',
    "mix.lock": "%{}\n",
    ".tool-versions": "elixir 1.16.2\nerlang 26.2\n",
  },
  make: {
    Makefile:
      "CC := gcc\n.PHONY: all test\nall: app\n\n\napp: main.c\n\t$(CC) -o $@ $<\ntest: all\n\t@./run-tests.sh\nlint fmt:\n\tclang-tidy main.c\n",
    "main.c": "",
  },
  cmake: {
    "CMakeLists.txt": "project(x)\nenable_testing()\n",
    "CMakePresets.json": '{"configurePresets": [{"name": "base", "hidden": true}, {"name": "release"}]}',
    ".clang-format": "",
  },
  deno: { "deno.jsonc": '{\n  // tasks\n  "tasks": { "dev": "deno run -A main.ts", "test": "deno test -A", },\n}\n', "deno.lock": "{}" },
  just: { justfile: "set shell := ['bash']\ndefault: build\nbuild target='debug':\n  cargo build\ntest:\n  cargo test\n" },
  nix: { "flake.nix": "{ outputs = _: { }; }", "flake.lock": '{"nodes":{"root":{}},"root":"root","version":7}' },
  services: {
    "compose.yaml":
      'services:\n  db:\n    image: postgres:16\n    ports: ["127.0.0.1:5433:5432"]\n  cache:\n    image: redis:7\n    ports:\n      - published: 6379\n        target: 6379\n',
    Procfile: "web: npm start\nworker: npm run work\n",
    "mise.toml": '[tools]\nnode = "22.4"\npython = { version = "3.12" }\n',
  },
};

/** The project in a fresh directory; a real path. */
export function fixtureProject(name: string): { directory: string; remove(): void } {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), `guild-project-${name}-`)));
  for (const [path, text] of Object.entries(fixtureProjects[name] ?? {})) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), text);
  }
  return { directory, remove: () => rmSync(directory, { recursive: true, force: true }) };
}
