import { access, copyFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Where inputs come from that devenv.yaml does not name, as devenv has it. */
const INPUTS: Readonly<Record<string, string>> = {
  devenv: "github:cachix/devenv",
  nixpkgs: "github:cachix/devenv-nixpkgs/rolling",
};

/**
 * Writes the flake that a project with devenv.nix and no flake stands for into its copy: its shell is what devenv's own `lib.mkShell` makes of devenv.nix.
 * Inputs are those of devenv.yaml; devenv.lock, which has a flake lock's form, holds for them.
 */
export async function writeDevenvFlake(directory: string): Promise<void> {
  const named = await inputsOf(join(directory, "devenv.yaml"));
  const inputs = Object.entries({ ...INPUTS, ...named }).map(([name, url]) => `  inputs.${name}.url = ${JSON.stringify(url)};\n`);
  const system = `${process.arch === "arm64" ? "aarch64" : "x86_64"}-${process.platform === "darwin" ? "darwin" : "linux"}`;
  const root = JSON.stringify(directory).replaceAll("$", "\\$");
  await writeFile(
    join(directory, "flake.nix"),
    `{
${inputs.join("")}  outputs = { self, nixpkgs, devenv, ... }@inputs: {
    devShells.${system}.default = devenv.lib.mkShell {
      inherit inputs;
      pkgs = nixpkgs.legacyPackages.${system};
      modules = [ { devenv.root = ${root}; } ./devenv.nix ];
    };
  };
}
`,
  );
  const lock = join(directory, "devenv.lock");
  const locked = await access(lock).then(
    () => true,
    () => false, // there is none
  );
  if (locked) await copyFile(lock, join(directory, "flake.lock"));
}

async function inputsOf(file: string): Promise<Record<string, string>> {
  const text = await readFile(file, "utf8").catch(() => ""); // devenv works without one
  const { parse } = await import("yaml");
  const data: unknown = text === "" ? {} : parse(text, { maxAliasCount: 100 });
  const inputs = (data as { inputs?: Record<string, { url?: unknown } | null> } | null)?.inputs ?? {};
  return Object.fromEntries(
    Object.entries(inputs).flatMap(([name, input]) =>
      /^[A-Za-z][\w-]*$/.test(name) && typeof input?.url === "string" ? [[name, input.url]] : [],
    ),
  );
}
