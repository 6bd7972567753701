import type { ProjectFacts } from "@guildhall/core";

/** Programs that are looked for in every project. */
const ALWAYS = ["bash", "git", "rg", "curl", "make", "gcc", "python3", "node"];

/** Programs of an ecosystem. */
const OF: Readonly<Record<string, readonly string[]>> = {
  node: ["node", "npm", "npx", "tsc"],
  deno: ["deno"],
  python: ["python3", "python", "pip3", "pytest", "ruff", "mypy"],
  rust: ["cargo", "rustc", "rustfmt", "cargo-clippy"],
  go: ["go", "gofmt", "golangci-lint"],
  jvm: ["java", "javac"],
  ruby: ["ruby", "bundle", "rake"],
  php: ["php", "composer"],
  dotnet: ["dotnet"],
  elixir: ["elixir", "mix", "erl"],
  cmake: ["cmake", "ctest", "ninja", "g++", "clang", "clang-format"],
  make: ["make", "gcc", "g++"],
  just: ["just"],
  nix: ["nix"],
};

/** Programs by the names of what version files ask for. */
const DECLARED: Readonly<Record<string, string>> = {
  python: "python3",
  rust: "rustc",
  maven: "mvn",
  erlang: "erl",
  terraform: "terraform",
};

/** The program that shows the version of a declared tool. */
export function programOf(tool: string): string {
  return DECLARED[tool] ?? tool;
}

/** Programs whose versions matter for a project; the same for the same facts. */
export function toolNames(facts: ProjectFacts): string[] {
  const names = new Set(ALWAYS);
  for (const { ecosystem, manager } of facts.ecosystems) {
    for (const name of OF[ecosystem] ?? []) names.add(name);
    names.add(PROGRAM_OF_MANAGER[manager] ?? manager);
  }
  for (const { name } of facts.declared) if (/^[a-z][\w.-]{0,30}$/.test(name)) names.add(programOf(name));
  return [...names].toSorted();
}

const PROGRAM_OF_MANAGER: Readonly<Record<string, string>> = { pip: "pip3", maven: "mvn", bundler: "bundle" };
