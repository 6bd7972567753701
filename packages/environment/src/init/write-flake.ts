import { GuildError, type ProjectFacts } from "@guildhall/core";

/** Attributes of nixpkgs by ecosystem or manager. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  node: ["nodejs"],
  npm: [],
  pnpm: ["pnpm"],
  yarn: ["yarn-berry"],
  bun: ["bun"],
  deno: ["deno"],
  python: ["python3"],
  uv: ["uv"],
  poetry: ["poetry"],
  pdm: ["pdm"],
  rust: ["cargo", "rustc", "rustfmt", "clippy"],
  go: ["go"],
  jvm: ["jdk"],
  maven: ["maven"],
  gradle: ["gradle"],
  ruby: ["ruby", "bundler"],
  php: ["php", "phpPackages.composer"],
  dotnet: ["dotnet-sdk"],
  elixir: ["elixir"],
  cmake: ["cmake", "ninja", "gcc"],
  make: ["gnumake", "gcc"],
  just: ["just"],
};

/** Attribute of nixpkgs that has the wanted major (and, for some, minor) version of a tool. */
function versioned(name: string, wanted: string): string | undefined {
  const [major, minor] = /(\d+)(?:\.(\d+))?/.exec(wanted)?.slice(1) ?? [];
  if (major === undefined) return undefined;
  if (name === "node") return `nodejs_${major}`;
  if (name === "python" && minor !== undefined) return `python${major}${minor}`;
  if (name === "java") return `jdk${major}`;
  if (name === "go" && minor !== undefined) return `go_${major}_${minor}`;
  if (name === "ruby" && minor !== undefined) return `ruby_${major}_${minor}`;
  if (name === "php" && minor !== undefined) return `php${major}${minor}`;
  return undefined;
}

const REPLACES: Readonly<Record<string, string>> = { node: "nodejs", python: "python3", java: "jdk", go: "go", ruby: "ruby", php: "php" };

/**
 * A flake whose development shell has what the project declares: its package managers, and its tools at the versions asked for where
 * nixpkgs has an attribute for them. Throws `failed_precondition` when the project declares nothing.
 */
export function writeFlake(facts: ProjectFacts): string {
  const names = new Set<string>();
  for (const { ecosystem, manager } of facts.ecosystems) {
    if (ecosystem === "nix") continue;
    for (const one of [...(PACKAGES[ecosystem] ?? []), ...(PACKAGES[manager] ?? [])]) names.add(one);
  }
  for (const { name, wanted = "" } of facts.declared) {
    const attribute = versioned(name, wanted);
    if (attribute === undefined) continue;
    names.delete(REPLACES[name] ?? name);
    names.add(attribute);
  }
  if (names.size === 0) {
    throw new GuildError("failed_precondition", "the project declares nothing that a flake could be made from", {
      remedy: "write a flake.nix by hand, or declare tools in .tool-versions",
    });
  }
  return `{
  description = "Development shell";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs = { self, nixpkgs }:
    let
      systems = [ "x86_64-linux" "aarch64-linux" "x86_64-darwin" "aarch64-darwin" ];
      each = make: nixpkgs.lib.genAttrs systems (system: make nixpkgs.legacyPackages.\${system});
    in
    {
      devShells = each (pkgs: {
        default = pkgs.mkShell {
          packages = with pkgs; [ bashInteractive coreutils git ${[...names].toSorted().join(" ")} ];
        };
      });
    };
}
`;
}
