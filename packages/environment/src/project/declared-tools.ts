import type { ToolVersion } from "@guildhall/core";

import type { ProjectDirectory } from "./detector.ts";
import { type Data, readData } from "./read-data.ts";

/** Tools by the names that version managers use for them. */
const NAMES: Readonly<Record<string, string>> = { nodejs: "node", golang: "go", python3: "python", rustc: "rust" };

type Reading = (directory: ProjectDirectory, file: string) => Promise<Array<readonly [string, string | undefined]>>;

const plain =
  (tool: string): Reading =>
  async (directory, file) => [[tool, ((await directory.read(file)) ?? "").split("\n")[0]?.trim()]];

const READINGS: ReadonlyArray<readonly [string, Reading]> = [
  [".tool-versions", toolVersions],
  ["mise.toml", mise],
  [".mise.toml", mise],
  [".nvmrc", plain("node")],
  [".node-version", plain("node")],
  [".python-version", plain("python")],
  [".ruby-version", plain("ruby")],
  [".java-version", plain("java")],
  [".go-version", plain("go")],
  ["rust-toolchain.toml", async (directory, file) => rustToolchain(await readData(directory, file, "toml"))],
  ["rust-toolchain", oldRustToolchain],
  ["go.mod", goMod],
  ["package.json", packageJson],
  ["pyproject.toml", pyproject],
  ["global.json", async (directory, file) => [["dotnet", (await readData(directory, file, "json")).at("sdk", "version").text]]],
  [
    "Cargo.toml",
    async (directory, file) => [["rust", atLeast((await readData(directory, file, "toml")).at("package", "rust-version").text)]],
  ],
  ["composer.json", async (directory, file) => [["php", (await readData(directory, file, "json")).at("require", "php").text]]],
];

/** Versions that a project's files ask for, most binding first: files that pin a version come before ranges of manifests. */
export async function declaredTools(directory: ProjectDirectory): Promise<ToolVersion[]> {
  const all: ToolVersion[] = [];
  for (const [file, read] of READINGS) {
    if (!directory.names.has(file)) continue;
    for (const [tool, version] of await read(directory, file)) {
      if (version === undefined || version === "" || !/^[\w.*^~<>=!|, +@/:-]{1,80}$/.test(version)) continue;
      const name = NAMES[tool] ?? tool;
      if (all.some((one) => one.name === name)) continue;
      all.push({ name, version: "", wanted: version.replace(/^v(?=\d)/, ""), wantedBy: file });
    }
  }
  return all;
}

async function toolVersions(directory: ProjectDirectory, file: string): ReturnType<Reading> {
  const lines = ((await directory.read(file)) ?? "").split("\n").map((line) => line.replace(/#.*/, "").trim().split(/\s+/));
  return lines.flatMap(([name, version]) => (name !== undefined && version !== undefined ? [[name, version] as const] : []));
}

async function mise(directory: ProjectDirectory, file: string): ReturnType<Reading> {
  const tools = (await readData(directory, file, "toml")).at("tools");
  return tools.entries.map(([name, value]) => [name, value.text ?? value.at("version").text ?? value.items[0]?.text] as const);
}

function rustToolchain(data: Data): Array<readonly [string, string | undefined]> {
  return [["rust", data.at("toolchain", "channel").text]];
}

async function oldRustToolchain(directory: ProjectDirectory, file: string): ReturnType<Reading> {
  const text = (await directory.read(file)) ?? "";
  return text.includes("[toolchain]") ? rustToolchain(await readData(directory, file, "toml")) : [["rust", text.trim()]];
}

async function goMod(directory: ProjectDirectory, file: string): ReturnType<Reading> {
  const text = (await directory.read(file)) ?? "";
  const toolchain = /^toolchain\s+go(\S+)/m.exec(text)?.[1];
  return [["go", toolchain ?? atLeast(/^go\s+(\S+)/m.exec(text)?.[1])]];
}

async function packageJson(directory: ProjectDirectory, file: string): ReturnType<Reading> {
  const data = await readData(directory, file, "json");
  const [manager, version] = (data.at("packageManager").text ?? "").split("@");
  const engines = data.at("engines").entries.map(([name, value]) => [name, value.text] as const);
  const own = manager === undefined || manager === "" ? [] : [[manager, version?.split("+")[0]] as const];
  const volta = data.at("volta").entries.map(([name, value]) => [name, value.text] as const);
  return [...volta, ...own, ...engines];
}

async function pyproject(directory: ProjectDirectory, file: string): ReturnType<Reading> {
  const data = await readData(directory, file, "toml");
  return [["python", data.at("project", "requires-python").text ?? data.at("tool", "poetry", "dependencies", "python").text]];
}

function atLeast(version: string | undefined): string | undefined {
  return version === undefined ? undefined : `>=${version}`;
}
