import type { CommandPurpose } from "@guildhall/core";

import { commandsOf, type Detector, firstOf, lockedBy } from "./detector.ts";
import { readData } from "./read-data.ts";

const PURPOSES: ReadonlyArray<readonly [CommandPurpose, readonly string[]]> = [
  ["install", ["install-deps", "deps", "setup", "bootstrap"]],
  ["build", ["build", "all", "compile"]],
  ["test", ["test", "tests", "check"]],
  ["lint", ["lint", "vet"]],
  ["format", ["format", "fmt"]],
  ["typecheck", ["typecheck", "types"]],
  ["run", ["run", "dev", "serve", "start"]],
];

function ofTargets(runner: string, targets: ReadonlyMap<string, string>) {
  return commandsOf(
    PURPOSES.map(([purpose, names]) => {
      const name = names.find((one) => targets.has(one));
      return [purpose, name === undefined ? undefined : `${runner} ${name}`] as const;
    }),
  );
}

/** Make, by the targets of its file; a target with a variable in its name is not known before it runs. */
export const detectMake: Detector = async (directory) => {
  const manifest = firstOf(directory, ["GNUmakefile", "Makefile", "makefile"]);
  if (manifest === undefined) return [];
  const targets = new Map<string, string>();
  const lines = ((await directory.read(manifest)) ?? "").split("\n");
  for (const [index, line] of lines.entries()) {
    const names = /^([A-Za-z0-9][\w./ -]*?)\s*:(?![:=])/.exec(line)?.[1]?.split(/\s+/) ?? [];
    const next = lines[index + 1] ?? "";
    const recipe = next.startsWith("\t") ? next.trim().replace(/^[@-]+/, "") : "";
    for (const name of names) if (!targets.has(name) && targets.size < 100) targets.set(name, recipe);
  }
  return [
    {
      ecosystem: "make",
      manager: "make",
      manifest,
      scripts: Object.fromEntries(targets),
      commands: targets.size === 0 ? [{ purpose: "build", command: "make" }] : ofTargets("make", targets),
    },
  ];
};

/** just. */
export const detectJust: Detector = async (directory) => {
  const manifest = firstOf(directory, ["justfile", "Justfile", ".justfile"]);
  if (manifest === undefined) return [];
  const targets = new Map<string, string>();
  for (const line of ((await directory.read(manifest)) ?? "").split("\n")) {
    const name = /^@?([A-Za-z_][\w-]*)(?:\s[^:]*)?:(?!=)/.exec(line)?.[1];
    if (name !== undefined && targets.size < 100) targets.set(name, "");
  }
  return [{ ecosystem: "just", manager: "just", manifest, scripts: Object.fromEntries(targets), commands: ofTargets("just", targets) }];
};

/** CMake, by a preset where there is one. */
export const detectCmake: Detector = async (directory) => {
  if (!directory.names.has("CMakeLists.txt")) return [];
  const presets = await readData(directory, "CMakePresets.json", "json");
  const preset = presets
    .at("configurePresets")
    .items.find((one) => one.at("hidden").value !== true)
    ?.at("name").text;
  const text = (await directory.read("CMakeLists.txt")) ?? "";
  const tests = /\b(enable_testing|include\s*\(\s*CTest)/i.test(text);
  return [
    {
      ecosystem: "cmake",
      manager: "cmake",
      manifest: "CMakeLists.txt",
      scripts: {},
      commands: commandsOf([
        ["build", `${preset === undefined ? "cmake -S . -B build" : `cmake --preset ${preset} -B build`} && cmake --build build`],
        ["test", tests ? "ctest --test-dir build --output-on-failure" : undefined],
        [
          "format",
          directory.names.has(".clang-format") ? "git ls-files '*.c' '*.cc' '*.cpp' '*.h' '*.hpp' | xargs clang-format -i" : undefined,
        ],
      ]),
    },
  ];
};

/** Nix: a flake, or the files from before. */
export const detectNix: Detector = async (directory) => {
  const manifest = firstOf(directory, ["flake.nix", "devenv.nix", "shell.nix", "default.nix"]);
  if (manifest === undefined) return [];
  const flake = manifest === "flake.nix";
  return [
    {
      ecosystem: "nix",
      manager: manifest === "devenv.nix" ? "devenv" : "nix",
      manifest,
      ...lockedBy(firstOf(directory, ["flake.lock", "devenv.lock"])),
      scripts: {},
      commands: commandsOf([
        ["build", flake ? "nix build" : undefined],
        ["test", flake ? "nix flake check" : undefined],
        ["format", flake ? "nix fmt" : undefined],
      ]),
    },
  ];
};
