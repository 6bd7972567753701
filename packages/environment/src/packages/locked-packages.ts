import type { ProjectFiles } from "@guildhall/core";
import { parse as parseToml } from "smol-toml";

import { Data, withoutComments } from "../project/read-data.ts";

/** A package at the version that a lock file pins, with its ecosystem as OSV names it. */
export interface LockedPackage {
  ecosystem: string;
  name: string;
  version: string;
}

type Reader = (text: string) => Array<readonly [string, string]> | Promise<Array<readonly [string, string]>>;

const READERS: ReadonlyArray<readonly [string, string, Reader]> = [
  ["package-lock.json", "npm", npm],
  ["npm-shrinkwrap.json", "npm", npm],
  ["pnpm-lock.yaml", "npm", pnpm],
  [
    "yarn.lock",
    "npm",
    (text) =>
      [...text.matchAll(/^"?(@?[^@\s"]+)@[^\n]*:\n\s+version:? "?([^"\s]+)/gm)].map(([, name = "", version = ""]) => [name, version]),
  ],
  [
    "bun.lock",
    "npm",
    (text) => keyed(new Data(JSON.parse(withoutComments(text))).at("packages").entries.map(([, one]) => one.items[0]?.text ?? "")),
  ],
  ["deno.lock", "npm", (text) => keyed(new Data(JSON.parse(text)).at("npm").keys)],
  ["Cargo.lock", "crates.io", (text) => tomlPackages(text)],
  ["uv.lock", "PyPI", (text) => tomlPackages(text)],
  ["poetry.lock", "PyPI", (text) => tomlPackages(text)],
  ["pdm.lock", "PyPI", (text) => tomlPackages(text)],
  [
    "requirements.txt",
    "PyPI",
    (text) => [...text.matchAll(/^([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?==([\w.]+)/gm)].map(([, name = "", version = ""]) => [name, version]),
  ],
  ["go.sum", "Go", (text) => [...text.matchAll(/^(\S+) v([^\s/]+) h1:/gm)].map(([, name = "", version = ""]) => [name, version])],
  [
    "Gemfile.lock",
    "RubyGems",
    (text) => [...text.matchAll(/^ {4}([\w.-]+) \(([\w.]+)\)$/gm)].map(([, name = "", version = ""]) => [name, version]),
  ],
  ["composer.lock", "Packagist", (text) => jsonPackages(text)],
  [
    "gradle.lockfile",
    "Maven",
    (text) => [...text.matchAll(/^([^#\s:]+:[^\s:]+):([^\s=]+)=/gm)].map(([, name = "", version = ""]) => [name, version]),
  ],
  ["packages.lock.json", "NuGet", nuget],
  [
    "mix.lock",
    "Hex",
    (text) => [...text.matchAll(/"([\w-]+)": \{:hex, :\w+, "([^"]+)"/g)].map(([, name = "", version = ""]) => [name, version]),
  ],
];

/** What the lock files of a directory pin; nothing is run, and a file that cannot be read pins nothing. */
export async function lockedPackages(files: ProjectFiles, directory: string): Promise<{ packages: LockedPackage[]; files: string[] }> {
  const packages = new Map<string, LockedPackage>();
  const found: string[] = [];
  for (const [file, ecosystem, read] of READERS) {
    const text = await files.read(directory === "" ? file : `${directory}/${file}`);
    if (text === undefined) continue;
    found.push(file);
    const pairs = await Promise.resolve()
      .then(() => read(text))
      .catch(() => []); // its own tool will say what is wrong with it
    for (const [name, version] of pairs) packages.set(`${ecosystem} ${name} ${version}`, { ecosystem, name, version });
  }
  return { packages: [...packages.values()], files: found };
}

function npm(text: string): Array<readonly [string, string]> {
  return new Data(JSON.parse(text)).at("packages").entries.flatMap(([path, entry]) => {
    const version = entry.at("version").text;
    const name = entry.at("name").text ?? path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);
    return path === "" || version === undefined || entry.at("link").value === true ? [] : [[name, version] as const];
  });
}

async function pnpm(text: string): Promise<Array<readonly [string, string]>> {
  const { parse } = await import("yaml");
  return new Data(parse(text)).at("packages").keys.flatMap((key) => {
    const [, name, version] = /^\/?(@?[^@]+)@([^(]+)/.exec(key) ?? [];
    return name === undefined || version === undefined ? [] : [[name, version] as const];
  });
}

/** `name@version`, perhaps with what it stands beside. */
function keyed(keys: readonly string[]): Array<readonly [string, string]> {
  return keys.flatMap((key) => {
    const [, name, version] = /^(@?[^@]+)@(\d[^_(]*)/.exec(key) ?? [];
    return name === undefined || version === undefined ? [] : [[name, version] as const];
  });
}

function nuget(text: string): Array<readonly [string, string]> {
  const frameworks = new Data(JSON.parse(text)).at("dependencies").entries;
  return frameworks.flatMap(([, packages]) =>
    packages.entries.flatMap(([name, one]) => {
      const version = one.at("resolved").text;
      return version === undefined ? [] : [[name, version] as const];
    }),
  );
}

function tomlPackages(text: string): Array<readonly [string, string]> {
  return new Data(parseToml(text)).at("package").items.flatMap((one) => pair(one));
}

function jsonPackages(text: string): Array<readonly [string, string]> {
  const data = new Data(JSON.parse(text));
  return [...data.at("packages").items, ...data.at("packages-dev").items]
    .flatMap((one) => pair(one))
    .map(([name, version]) => [name, version.replace(/^v/, "")] as const);
}

function pair(one: Data): Array<readonly [string, string]> {
  const [name, version] = [one.at("name").text, one.at("version").text];
  return name === undefined || version === undefined ? [] : [[name, version]];
}
