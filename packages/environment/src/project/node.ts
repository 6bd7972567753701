import type { CommandPurpose, ProjectCommand } from "@guildhall/core";

import { commandsOf, type Detector, firstOf, lockedBy, type ProjectDirectory } from "./detector.ts";
import { type Data, readData } from "./read-data.ts";

const LOCKS: ReadonlyArray<readonly [string, string]> = [
  ["pnpm-lock.yaml", "pnpm"],
  ["yarn.lock", "yarn"],
  ["bun.lock", "bun"],
  ["bun.lockb", "bun"],
  ["package-lock.json", "npm"],
  ["npm-shrinkwrap.json", "npm"],
];

const INSTALL: Readonly<Record<string, string>> = {
  npm: "npm ci",
  pnpm: "pnpm install --frozen-lockfile",
  yarn: "yarn install --immutable",
  bun: "bun install --frozen-lockfile",
};

/** How yarn 1, whose words are others, installs what its lock file says. */
export const CLASSIC_YARN = "yarn install --frozen-lockfile";

/** Names under which projects keep the script of a purpose, the usual first. */
const SCRIPTS: ReadonlyArray<readonly [CommandPurpose, readonly string[]]> = [
  ["build", ["build", "compile"]],
  ["test", ["test", "tests", "test:unit"]],
  ["lint", ["lint", "eslint", "check:lint"]],
  ["format", ["format", "fmt", "prettier"]],
  ["typecheck", ["typecheck", "type-check", "types", "tsc", "check-types"]],
  ["run", ["dev", "start", "serve"]],
];

/** npm, pnpm, yarn and bun, by package.json, its `packageManager` and the lock file. */
export const detectNode: Detector = async (directory) => {
  if (!directory.names.has("package.json")) return [];
  const manifest = await readData(directory, "package.json", "json");
  const lock = LOCKS.find(([file]) => directory.names.has(file));
  const [named] = (manifest.at("packageManager").text ?? "").split("@");
  const manager = named !== undefined && named in INSTALL ? named : (lock?.[1] ?? "npm");
  const scripts = manifest.at("scripts").texts;
  const locked = lock !== undefined;
  const classic = manager === "yarn" && (await isClassic(directory, manifest));
  return [
    {
      ecosystem: "node",
      manager,
      manifest: "package.json",
      ...lockedBy(lock?.[0]),
      scripts,
      commands: [
        {
          purpose: "install",
          command: classic ? CLASSIC_YARN : locked ? (INSTALL[manager] ?? `${manager} install`) : `${manager} install`,
        },
        ...scriptCommands(manager, scripts),
        ...toolCommands(directory, manifest, scripts),
      ],
    },
  ];
};

async function isClassic(directory: ProjectDirectory, manifest: Data): Promise<boolean> {
  const asked = /^yarn@(\d+)/.exec(manifest.at("packageManager").text ?? "")?.[1];
  if (asked !== undefined) return asked === "1";
  return /^# yarn lockfile v1$/m.test((await directory.read("yarn.lock")) ?? "");
}

function scriptCommands(manager: string, scripts: Readonly<Record<string, string>>): ProjectCommand[] {
  return SCRIPTS.flatMap(([purpose, names]) => {
    const name = names.find((one) => Object.hasOwn(scripts, one) && !isPlaceholder(scripts[one] ?? ""));
    if (name === undefined) return [];
    const short = name === "test" && manager !== "bun";
    return [{ purpose, command: short ? `${manager} test` : `${manager} run ${name}` }];
  });
}

/** What `npm init` writes for want of tests. */
function isPlaceholder(script: string): boolean {
  return script.includes("no test specified");
}

/** Tools that are set up in the project without a script. */
function toolCommands(directory: ProjectDirectory, manifest: Data, scripts: Readonly<Record<string, string>>): ProjectCommand[] {
  const has = (name: string) => manifest.at("dependencies", name).present || manifest.at("devDependencies", name).present;
  const without = (purpose: CommandPurpose) =>
    !SCRIPTS.some(([one, names]) => one === purpose && names.some((name) => Object.hasOwn(scripts, name)));
  const tester = ["vitest", "jest", "mocha", "ava"].find(has);
  const config = firstOf(directory, ["eslint.config.js", "eslint.config.mjs", "eslint.config.ts", ".eslintrc.json", ".eslintrc.cjs"]);
  const lint =
    has("eslint") || config !== undefined
      ? "npx eslint ."
      : has("@biomejs/biome")
        ? "npx biome lint ."
        : has("oxlint")
          ? "npx oxlint"
          : undefined;
  const format = has("prettier") ? "npx prettier --write ." : has("@biomejs/biome") ? "npx biome format --write ." : undefined;
  return commandsOf([
    ["test", without("test") && tester !== undefined ? `npx ${tester}${tester === "vitest" ? " run" : ""}` : undefined],
    ["lint", without("lint") ? lint : undefined],
    ["format", without("format") ? format : undefined],
    ["typecheck", without("typecheck") && directory.names.has("tsconfig.json") && has("typescript") ? "npx tsc --noEmit" : undefined],
  ]);
}
