import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";

import type { CommandPurpose, ProjectFacts } from "@guildhall/core";

import { fixtureProject } from "../testing/fixture-projects.ts";
import { detectProject } from "./detect-project.ts";
import { hostFiles } from "./host-files.ts";

async function detect(test: TestContext, name: string): Promise<ProjectFacts> {
  const { directory, remove } = fixtureProject(name);
  test.after(remove);
  return await detectProject(hostFiles(directory));
}

/** Manager, lock file and commands at the root, as one line each. */
const EXPECTED: ReadonlyArray<readonly [string, string, string | undefined, Partial<Record<CommandPurpose, string>>]> = [
  [
    "npm",
    "npm",
    "package-lock.json",
    {
      install: "npm ci",
      build: "npm run build",
      test: "npm test",
      lint: "npm run lint",
      format: "npm run format",
      typecheck: "npx tsc --noEmit",
      run: "npm run dev",
    },
  ],
  [
    "pnpm",
    "pnpm",
    "pnpm-lock.yaml",
    { install: "pnpm install --frozen-lockfile", test: "pnpm test", lint: "npx biome lint .", format: "npx biome format --write ." },
  ],
  ["yarn", "yarn", "yarn.lock", { install: "yarn install --immutable", test: "yarn test" }],
  ["bun", "bun", "bun.lock", { install: "bun install --frozen-lockfile", test: "bun run test" }],
  [
    "pip",
    "pip",
    undefined,
    { install: "pip install -r requirements-dev.txt -r requirements.txt", test: "pytest", lint: "flake8", format: "black ." },
  ],
  [
    "uv",
    "uv",
    "uv.lock",
    {
      install: "uv sync --locked",
      build: "uv build",
      test: "uv run pytest",
      lint: "uv run ruff check .",
      format: "uv run ruff format .",
      typecheck: "uv run mypy .",
    },
  ],
  ["poetry", "poetry", "poetry.lock", { install: "poetry install", test: "poetry run pytest", lint: "poetry run pylint ." }],
  [
    "cargo",
    "cargo",
    "Cargo.lock",
    {
      install: "cargo fetch --locked",
      build: "cargo build",
      test: "cargo test",
      lint: "cargo clippy --all-targets",
      format: "cargo fmt",
      typecheck: "cargo check",
      run: "cargo run",
    },
  ],
  [
    "go",
    "go",
    "go.sum",
    { install: "go mod download", build: "go build ./...", test: "go test ./...", lint: "go vet ./...", format: "gofmt -w ." },
  ],
  [
    "maven",
    "maven",
    undefined,
    {
      install: "./mvnw -B dependency:resolve",
      build: "./mvnw -B package -DskipTests",
      test: "./mvnw -B test",
      lint: "./mvnw spotless:check",
      format: "./mvnw spotless:apply",
    },
  ],
  [
    "gradle",
    "gradle",
    "gradle.lockfile",
    {
      install: "./gradlew dependencies",
      build: "./gradlew assemble",
      test: "./gradlew test",
      lint: "./gradlew check -x test",
      format: "./gradlew spotlessApply",
      run: "./gradlew run",
    },
  ],
  [
    "bundler",
    "bundler",
    "Gemfile.lock",
    {
      install: "bundle install",
      test: "bundle exec rspec",
      lint: "bundle exec rubocop",
      format: "bundle exec rubocop -a",
      run: "bin/rails server",
    },
  ],
  [
    "composer",
    "composer",
    "composer.lock",
    { install: "composer install", test: "vendor/bin/phpunit", lint: "vendor/bin/phpstan analyse", format: "composer run format" },
  ],
  [
    "dotnet",
    "dotnet",
    undefined,
    {
      install: "dotnet restore",
      build: "dotnet build",
      test: "dotnet test",
      lint: "dotnet format --verify-no-changes",
      format: "dotnet format",
    },
  ],
  [
    "mix",
    "mix",
    "mix.lock",
    { install: "mix deps.get", build: "mix compile", test: "mix test", lint: "mix credo", format: "mix format", run: "mix phx.server" },
  ],
  ["make", "make", undefined, { build: "make all", test: "make test", lint: "make lint", format: "make fmt" }],
  [
    "cmake",
    "cmake",
    undefined,
    {
      build: "cmake --preset release -B build && cmake --build build",
      test: "ctest --test-dir build --output-on-failure",
      format: "git ls-files '*.c' '*.cc' '*.cpp' '*.h' '*.hpp' | xargs clang-format -i",
    },
  ],
  [
    "deno",
    "deno",
    "deno.lock",
    {
      install: "deno install",
      test: "deno task test",
      lint: "deno lint",
      format: "deno fmt",
      typecheck: "deno check .",
      run: "deno task dev",
    },
  ],
  ["just", "just", undefined, { build: "just build", test: "just test" }],
  ["nix", "nix", "flake.lock", { build: "nix build", test: "nix flake check", format: "nix fmt" }],
];

describe("what a project's files say", () => {
  for (const [name, manager, lockFile, commands] of EXPECTED) {
    it(`of ${name}: manager, lock file and how things are done`, async (test) => {
      const { ecosystems, problems } = await detect(test, name);
      const facts = ecosystems.find(({ directory }) => directory === "");
      assert.deepEqual([facts?.manager, facts?.lockFile], [manager, lockFile]);
      assert.deepEqual(Object.fromEntries(facts?.commands.map(({ purpose, command }) => [purpose, command]) ?? []), commands);
      assert.deepEqual(problems, []);
    });
  }

  it("scripts, and packages of a workspace that have their own", async (test) => {
    const { ecosystems } = await detect(test, "pnpm");
    assert.deepEqual(
      ecosystems.map(({ directory, scripts }) => [directory, scripts]),
      [
        ["", { test: "vitest run" }],
        ["packages/ui", { storybook: "storybook dev" }],
      ],
    );
  });

  it("services with their ports", async (test) => {
    const { services } = await detect(test, "services");
    assert.deepEqual(
      services.map(({ name, image, ports }) => [name, image, ports]),
      [
        ["db", "postgres:16", [5433]],
        ["cache", "redis:7", [6379]],
        ["web", "", []],
        ["worker", "", []],
      ],
    );
  });

  it("which tools it asks for, what pins before what bounds", async (test) => {
    const wishes = async (name: string) =>
      (await detect(test, name)).declared.map(({ name: tool, wanted, wantedBy }) => `${tool} ${wanted} (${wantedBy})`);
    assert.deepEqual(await wishes("npm"), ["node 22 (.nvmrc)"]);
    assert.deepEqual(await wishes("pnpm"), ["pnpm 9.12.0 (package.json)"]);
    assert.deepEqual(await wishes("uv"), ["python >=3.11,<4 (pyproject.toml)"]);
    assert.deepEqual(await wishes("go"), ["go 1.22.5 (go.mod)"]);
    assert.deepEqual(await wishes("cargo"), ["rust 1.80.0 (rust-toolchain.toml)"]);
    assert.deepEqual(await wishes("mix"), ["elixir 1.16.2 (.tool-versions)", "erlang 26.2 (.tool-versions)"]);
    assert.deepEqual(await wishes("services"), ["node 22.4 (mise.toml)", "python 3.12 (mise.toml)"]);
    assert.deepEqual(await wishes("dotnet"), ["dotnet 8.0.100 (global.json)"]);
  });

  it("and nothing of what lies outside, however it is linked to; what is broken is named", async (test) => {
    const outside = realpathSync(mkdtempSync(join(tmpdir(), "guild-outside-")));
    const project = realpathSync(mkdtempSync(join(tmpdir(), "guild-inside-")));
    test.after(() => [outside, project].map((directory) => rmSync(directory, { recursive: true })));
    writeFileSync(join(outside, "package.json"), '{"scripts": {"secret": "x"}}');
    symlinkSync(join(outside, "package.json"), join(project, "package.json"));
    symlinkSync(outside, join(project, "app"));
    mkdirSync(join(project, "api"));
    writeFileSync(join(project, "api/Cargo.toml"), "[package\n");
    writeFileSync(join(project, "pyproject.toml"), "x".repeat(2_000_000));
    const { ecosystems, problems } = await detectProject(hostFiles(project));
    assert.deepEqual(
      ecosystems.map(({ directory, manager }) => `${directory}:${manager}`),
      [":pip", "api:cargo"],
    );
    assert.equal(problems.length, 1);
    assert.match(problems[0] ?? "", /^api\/Cargo.toml cannot be read: /);
  });
});

it("yarn 1 is known by its lock file or by what package.json names, and has words of its own", async () => {
  const install = async (texts: Readonly<Record<string, string>>): Promise<string | undefined> => {
    const { directory, remove } = fixtureProject("yarn");
    try {
      for (const [name, text] of Object.entries(texts)) writeFileSync(join(directory, name), text);
      const { ecosystems } = await detectProject(hostFiles(directory));
      return ecosystems[0]?.commands.find(({ purpose }) => purpose === "install")?.command;
    } finally {
      remove();
    }
  };
  assert.equal(await install({ "yarn.lock": "# yarn lockfile v1\n" }), "yarn install --frozen-lockfile");
  assert.equal(await install({ "package.json": '{"packageManager": "yarn@1.22.22"}' }), "yarn install --frozen-lockfile");
  assert.equal(await install({}), "yarn install --immutable");
});
