/** What can be asked of a package manager. */
export type PackageOperation = "list" | "outdated" | "add" | "remove" | "update" | "install" | "audit";

type Line = (packages: readonly string[], development: boolean) => string[] | undefined;

const words =
  (...command: string[]): Line =>
  () =>
    command;
const named =
  (...command: string[]): Line =>
  (packages) =>
    packages.length === 0 ? undefined : [...command, ...packages];
const flagged =
  (flag: string, ...command: string[]): Line =>
  (packages, development) =>
    packages.length === 0 ? undefined : [...command, ...(development ? [flag] : []), ...packages];
/** The named ones, or all. */
const some =
  (...command: string[]): Line =>
  (packages) => [...command, ...packages];

/** Command lines by manager; what is not there the manager cannot do. `install` is exactly what the lock file says, or fails. */
const COMMANDS: Readonly<Record<string, Partial<Record<PackageOperation, Line>>>> = {
  npm: {
    list: words("npm", "ls", "--depth=0"),
    outdated: words("npm", "outdated", "--json"),
    add: flagged("--save-dev", "npm", "install"),
    remove: named("npm", "uninstall"),
    update: some("npm", "update"),
    install: words("npm", "ci"),
  },
  pnpm: {
    list: words("pnpm", "ls", "--depth=0"),
    outdated: words("pnpm", "outdated", "--format", "json"),
    add: flagged("--save-dev", "pnpm", "add"),
    remove: named("pnpm", "remove"),
    update: some("pnpm", "update"),
    install: words("pnpm", "install", "--frozen-lockfile"),
  },
  yarn: {
    list: words("yarn", "info", "--name-only"),
    add: flagged("--dev", "yarn", "add"),
    remove: named("yarn", "remove"),
    update: named("yarn", "up"),
    install: words("yarn", "install", "--immutable"),
  },
  "yarn classic": {
    list: words("yarn", "list", "--depth=0"),
    outdated: words("yarn", "outdated", "--json"),
    add: flagged("--dev", "yarn", "add"),
    remove: named("yarn", "remove"),
    update: some("yarn", "upgrade"),
    install: words("yarn", "install", "--frozen-lockfile"),
  },
  bun: {
    list: words("bun", "pm", "ls"),
    outdated: words("bun", "outdated"),
    add: flagged("--dev", "bun", "add"),
    remove: named("bun", "remove"),
    update: some("bun", "update"),
    install: words("bun", "install", "--frozen-lockfile"),
  },
  deno: {
    list: words("deno", "list"),
    outdated: words("deno", "outdated"),
    add: flagged("--dev", "deno", "add"),
    remove: named("deno", "remove"),
    update: some("deno", "outdated", "--update"),
    install: words("deno", "install", "--frozen"),
  },
  pip: {
    list: words("python3", "-m", "pip", "list"),
    outdated: words("python3", "-m", "pip", "list", "--outdated", "--format=json"),
    add: named("python3", "-m", "pip", "install"),
    remove: named("python3", "-m", "pip", "uninstall", "--yes"),
    update: named("python3", "-m", "pip", "install", "--upgrade"),
    install: words("python3", "-m", "pip", "install", "--requirement", "requirements.txt"),
  },
  uv: {
    list: words("uv", "pip", "list"),
    outdated: words("uv", "tree", "--outdated", "--depth=1"),
    add: flagged("--dev", "uv", "add"),
    remove: named("uv", "remove"),
    update: (packages) => [
      "uv",
      "lock",
      ...(packages.length === 0 ? ["--upgrade"] : packages.flatMap((one) => ["--upgrade-package", one])),
    ],
    install: words("uv", "sync", "--locked"),
  },
  poetry: {
    list: words("poetry", "show"),
    outdated: words("poetry", "show", "--outdated"),
    add: (packages, development) =>
      packages.length === 0 ? undefined : ["poetry", "add", ...(development ? ["--group", "dev"] : []), ...packages],
    remove: named("poetry", "remove"),
    update: some("poetry", "update"),
    install: words("poetry", "install", "--sync"),
  },
  pdm: {
    list: words("pdm", "list"),
    outdated: words("pdm", "outdated", "--json"),
    add: flagged("--dev", "pdm", "add"),
    remove: named("pdm", "remove"),
    update: some("pdm", "update"),
    install: words("pdm", "sync"),
  },
  cargo: {
    list: words("cargo", "tree", "--depth", "1"),
    outdated: words("cargo", "update", "--dry-run", "--verbose"),
    add: flagged("--dev", "cargo", "add"),
    remove: named("cargo", "remove"),
    update: some("cargo", "update"),
    install: words("cargo", "fetch", "--locked"),
  },
  go: {
    list: words("go", "list", "-m", "all"),
    outdated: words("go", "list", "-m", "-u", "-json", "all"),
    add: named("go", "get"),
    remove: (packages) => (packages.length === 0 ? undefined : ["go", "get", ...packages.map((one) => `${one}@none`)]),
    update: (packages) => ["go", "get", "-u", ...(packages.length === 0 ? ["./..."] : packages)],
    install: words("go", "mod", "download"),
  },
  maven: {
    list: words("mvn", "-B", "dependency:list"),
    outdated: words("mvn", "-B", "versions:display-dependency-updates"),
    install: words("mvn", "-B", "dependency:resolve"),
  },
  gradle: { list: words("gradle", "dependencies"), install: words("gradle", "dependencies") },
  bundler: {
    list: words("bundle", "list"),
    outdated: words("bundle", "outdated", "--parseable"),
    add: (packages, development) => bundleAdd(packages, development),
    remove: named("bundle", "remove"),
    update: (packages) => ["bundle", "update", ...(packages.length === 0 ? ["--all"] : packages)],
    install: words("env", "BUNDLE_FROZEN=true", "bundle", "install"),
  },
  composer: {
    list: words("composer", "show", "--direct"),
    outdated: words("composer", "outdated", "--direct", "--format=json"),
    add: flagged("--dev", "composer", "require"),
    remove: named("composer", "remove"),
    update: some("composer", "update"),
    install: words("composer", "install"),
  },
  dotnet: {
    list: words("dotnet", "list", "package"),
    outdated: words("dotnet", "list", "package", "--outdated"),
    add: (packages) => (packages.length === 1 ? ["dotnet", "add", "package", ...packages] : undefined),
    remove: (packages) => (packages.length === 1 ? ["dotnet", "remove", "package", ...packages] : undefined),
    install: words("dotnet", "restore"),
  },
  mix: {
    list: words("mix", "deps"),
    outdated: words("mix", "hex.outdated"),
    update: (packages) => ["mix", "deps.update", ...(packages.length === 0 ? ["--all"] : packages)],
    install: words("mix", "deps.get", "--check-locked"),
  },
};

/** `rake@13.0` is a name with a version for everybody else; bundle takes one version for all that it adds. */
function bundleAdd(packages: readonly string[], development: boolean): string[] | undefined {
  const [names, versions] = [packages.map((one) => one.split("@")[0] ?? ""), new Set(packages.map((one) => one.split("@")[1]))];
  const [version] = versions;
  if (packages.length === 0 || versions.size > 1) return undefined;
  return [
    "bundle",
    "add",
    ...names,
    ...(version === undefined ? [] : ["--version", version]),
    ...(development ? ["--group", "development"] : []),
  ];
}

/** The command line of an operation; undefined: the manager cannot do it, or it wants packages to be named. */
export function packageCommand(
  manager: string,
  operation: PackageOperation,
  packages: readonly string[],
  development: boolean,
): string[] | undefined {
  return COMMANDS[manager]?.[operation]?.(packages, development);
}

/** What a package may be called: nothing that a manager takes for an option. */
export function isPackageName(text: string): boolean {
  return /^[@\w][\w@./:+~^<>=!*,[\]-]{0,200}$/.test(text);
}
