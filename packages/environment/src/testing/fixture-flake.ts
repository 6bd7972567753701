import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** A static shell of the machine, which is all that the fixtures are built with. */
const STATIC_SHELL = "/bin/bash-static";

/** Code shared by the fixtures: a tool that says its version, which a shell and nothing else has built. */
const TOOL = (version: string) => `
  system = "${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux";
  bash = builtins.path { path = ./fixture; name = "bash-static"; };
  tool = builtins.path { path = ./tool; name = "greet"; };
  version = derivation {
    name = "greet-version";
    inherit system;
    builder = "\${bash}/bin/bash";
    args = [ "-c" "echo ${version} > $out" ];
  };`;

const SHELL = (hook: string) => `derivation {
      name = "shell";
      inherit system bash tool;
      builder = "\${bash}/bin/bash";
      args = [ "-c" "exit 1" ];
      outputs = [ "out" ];
      stdenv = ./stdenv;
      GREETING = "hello";
      GREET_VERSION = version;
      shellHook = ${JSON.stringify(hook)};
    }`;

/**
 * Writes a project whose flake needs neither nixpkgs nor a network: its shell has \`greet\` of the given version, and bash. Where a real flake
 * takes packages of nixpkgs, this one takes a static shell of the machine: the way through Nix is the same.
 */
export function writeFixtureFlake(
  directory: string,
  options: { version?: string; hook?: string; entry?: "flake.nix" | "shell.nix"; broken?: string } = {},
): void {
  const { version = "1.2.3", hook = "", entry = "flake.nix", broken } = options;
  const text =
    entry === "flake.nix"
      ? `{\n  outputs = { self }: let ${TOOL(version)}\n  in {\n    devShells.\${system}.default = ${SHELL(hook)};\n  };\n}\n`
      : `let ${TOOL(version)}\nin ${SHELL(hook)}\n`;
  mkdirSync(join(directory, "fixture/bin"), { recursive: true });
  cpSync(STATIC_SHELL, join(directory, "fixture/bin/bash"));
  write(directory, "stdenv/setup", "export PATH=$tool/bin:$bash/bin:relative\nexport FROM_SETUP=yes\nBUILD_ONLY=1\n");
  write(directory, "tool/bin/greet", '#!/bin/sh\nread -r version <"$GREET_VERSION"; echo "greet $version"\n', 0o755);
  write(directory, entry, broken ?? text);
}

function write(directory: string, path: string, text: string, mode = 0o644): void {
  mkdirSync(dirname(join(directory, path)), { recursive: true });
  writeFileSync(join(directory, path), text, { mode });
}
