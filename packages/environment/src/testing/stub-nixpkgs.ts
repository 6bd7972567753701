import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const SYSTEM = `${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux`;

/**
 * Writes flakes that stand for nixpkgs and devenv where there is no network: as much of their interface as a development shell uses, over a static shell of
 * the machine. Each package of the stub is a program that says its own name and `stub`.
 */
export function writeStubInputs(directory: string, packages: readonly string[]): { nixpkgs: string; devenv: string } {
  const write = (path: string, text: string, mode = 0o644): void => {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), text, { mode });
  };
  mkdirSync(join(directory, "nixpkgs/fixture/bin"), { recursive: true });
  cpSync("/bin/bash-static", join(directory, "nixpkgs/fixture/bin/bash"));
  write("nixpkgs/stdenv/setup", "PATH=\nfor one in $packages $bash; do PATH=$PATH${PATH:+:}$one/bin; done\nexport PATH\n");
  for (const name of packages) write(`nixpkgs/tools/${name}/bin/${name.replace(/_.*$/, "")}`, `#!/bin/sh\necho ${name} stub 1.0\n`, 0o755);
  const attributes = packages.map((name) => `    ${name} = builtins.path { path = ./tools/${name}; name = "${name}"; };`);
  write(
    "nixpkgs/flake.nix",
    `{
  outputs = { self }: let
    bash = builtins.path { path = ./fixture; name = "bash-static"; };
    mkShell = { packages ? [ ], shellHook ? "", ... }@given: derivation ({
      name = "shell";
      system = "${SYSTEM}";
      builder = "\${bash}/bin/bash";
      args = [ "-c" "exit 1" ];
      outputs = [ "out" ];
      stdenv = ./stdenv;
      inherit bash packages shellHook;
    } // builtins.removeAttrs given [ "packages" "shellHook" ]);
  in {
    lib.genAttrs = names: make: builtins.listToAttrs (map (name: { inherit name; value = make name; }) names);
    legacyPackages.${SYSTEM} = {
      inherit mkShell;
${attributes.join("\n")}
    };
  };
}
`,
  );
  write(
    "devenv/flake.nix",
    `{
  outputs = { self }: {
    lib.mkShell = { inputs, pkgs, modules }: let
      read = module: if builtins.isPath module || builtins.isString module then read (import module) else if builtins.isFunction module then module { inherit pkgs inputs; lib = { }; config = { }; } else module;
      all = map read modules;
      env = builtins.foldl' (found: module: found // (module.env or { })) { } all;
    in pkgs.mkShell (env // {
      packages = builtins.concatMap (module: module.packages or [ ]) all;
      shellHook = builtins.concatStringsSep "\\n" (map (module: module.enterShell or "") all);
    });
  };
}
`,
  );
  return { nixpkgs: `nixpkgs=path:${join(directory, "nixpkgs")}`, devenv: `devenv=path:${join(directory, "devenv")}` };
}
