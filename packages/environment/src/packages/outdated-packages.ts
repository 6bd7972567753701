import { stripVTControlCharacters } from "node:util";

import type { ProjectFiles } from "@guildhall/core";

import { Data } from "../project/read-data.ts";

/** A package of which there is a newer version. */
export interface OutdatedPackage {
  name: string;
  /** Empty: it is not installed. */
  current: string;
  /** The newest that the project's own range takes, where the manager tells it. */
  wanted?: string;
  latest: string;
}

/** Both streams together, and what was answered alone. */
export interface Answer {
  text: string;
  stdout: string;
}

type Reader = (answer: Answer) => OutdatedPackage[];

/** Managers whose answer is data, and throw (`SyntaxError`) where it is none; of the others it is lines, of which those that are not understood are left out. */
const DATA: Readonly<Record<string, Reader>> = {
  npm: ({ stdout }) => byName(stdout),
  pnpm: ({ stdout }) => byName(stdout),
  "yarn classic": ({ stdout }) => yarnTable(stdout),
  pip: ({ stdout }) => listed(new Data(JSON.parse(stdout)), ["name", "version", "latest_version"]),
  pdm: ({ stdout }) => listed(new Data(JSON.parse(stdout)), ["package", "installed_version", "latest_version"]),
  composer: ({ stdout }) => listed(new Data(JSON.parse(stdout)).at("installed"), ["name", "version", "latest"]),
  go: ({ stdout }) => goModules(stdout),
};
const LINES: Readonly<Record<string, Reader>> = {
  bun: ({ stdout }) => table(stdout),
  deno: ({ stdout }) => table(stdout),
  // guild-left 1.0.0 1.1.0 What it is for; one that is not installed has (!) before its versions.
  poetry: ({ stdout }) => matches(stdout, /^(\S+)\s+(?:\(!\)\s+)?(\d\S*)\s+(\d\S*)(?:\s|$)/gm),
  // ├── flask v2.0.0 (latest: v3.0.0)
  uv: ({ stdout }) => matches(stdout, /(?:^|[─ ])([\w.[\],-]+) v(\S+) .*\(latest: v?([^)\s]+)\)/gm),
  // Cargo says on the error stream what an update would do, and what it could not reach.
  cargo: ({ text }) =>
    matches(text, /^\s+(?:Updating|Unchanged|Upgrading) (\S+) v(\S+) (?:->|\(available:) v([^\s)]+)\)?(?: \(available: v([^)]+)\))?/gm),
  bundler: ({ stdout }) =>
    [...stdout.matchAll(/^(\S+) \(newest ([^\s,)]+), installed ([^\s,)]+)/gm)].map(([, name = "", latest = "", current = ""]) => ({
      name,
      current,
      latest,
    })),
  // [INFO]   junit:junit ........ 4.12 -> 4.13.2, the dots on a line of their own after a long name.
  maven: ({ stdout }) => matches(stdout.replaceAll(/\.\.\s*\n\[INFO\]\s+/g, ".. "), /^\[INFO\]\s+(\S+:\S+) \.*\s*(\S+) -> (\S+)/gm),
  dotnet: ({ stdout }) => matches(stdout, /^\s+> (\S+)\s+(?:\S+\s+)?(\d\S*)\s+(\d\S*)\s*$/gm),
  // jason  1.4.0  1.4.1  Yes; the second column is the environment it is for, where it is not for all.
  mix: ({ stdout }) => matches(stdout, /^([a-z]\w*)\s+(?:[a-z,]+\s+)?(\d\S*)\s+(\d\S*)(?:\s|$)/gm),
};

/** Managers whose exit code is 1 when something is outdated. */
const ONE_IS_YES = new Set(["npm", "pnpm", "yarn classic", "bundler", "mix"]);

/** What a manager has answered; undefined: no such answer was understood, and its text is to be shown. */
export function outdatedPackages(manager: string, answer: Answer, code: number | undefined): OutdatedPackage[] | undefined {
  if (code !== 0 && !(code === 1 && ONE_IS_YES.has(manager))) return undefined;
  const data = DATA[manager];
  try {
    const plain = { text: stripVTControlCharacters(answer.text), stdout: stripVTControlCharacters(answer.stdout) };
    // What has nothing to tell may tell it by silence.
    const found = data === undefined ? (LINES[manager]?.(plain) ?? []) : plain.stdout.trim() === "" ? [] : data(plain);
    const known = data !== undefined || answer.text.trim() === "";
    return found.length === 0 && (!known || code !== 0) ? undefined : found;
  } catch {
    return undefined; // no data after all: an error, or another version's words
  }
}

/** A line each, newest last. */
export function describeOutdated(packages: readonly OutdatedPackage[]): string {
  if (packages.length === 0) return "nothing is outdated";
  const lines = packages.slice(0, MOST_LINES).map(({ name, current, wanted, latest }) => {
    const within = wanted === undefined || wanted === latest || wanted === current ? "" : ` (within its range ${wanted})`;
    return `${name} ${current === "" ? "not installed" : current} → ${latest}${within}`;
  });
  return [...lines, ...(packages.length > MOST_LINES ? [`and ${packages.length - MOST_LINES} more`] : [])].join("\n");
}

const MOST_LINES = 100;

/** Yarn 2 and later cannot tell: the registry is asked about what package.json names. Undefined: it names nothing. */
export async function yarnQuestion(files: ProjectFiles, directory: string): Promise<string[] | undefined> {
  const names = [...(await wantedOf(files, directory)).keys()].slice(0, 200);
  return names.length === 0 ? undefined : ["yarn", "npm", "info", ...names, "--fields", "name,dist-tags", "--json"];
}

/** The registry's answer to it, beside what yarn.lock has; undefined as above. */
export async function yarnAnswer(files: ProjectFiles, directory: string, stdout: string): Promise<OutdatedPackage[] | undefined> {
  const lock = (await files.read(within(directory, "yarn.lock"))) ?? "";
  const versions = new Map<string, string>();
  for (const [, keys = "", version = ""] of lock.matchAll(/^"?([^\s"#][^"\n]*)"?:\n\s+version: "?([^"\s]+)/gm))
    for (const key of keys.split(", ")) versions.set(key, version);
  const wanted = await wantedOf(files, directory);
  try {
    const found = stdout.split("\n").flatMap((line) => {
      if (!line.startsWith("{")) return [];
      const one = new Data(JSON.parse(line));
      const [name = "", latest = ""] = [one.at("name").text, one.at("dist-tags", "latest").text];
      const range = wanted.get(name) ?? "";
      const current = versions.get(`${name}@${range.includes(":") ? range : `npm:${range}`}`) ?? "";
      return name === "" || latest === "" ? [] : [{ name, current, latest }];
    });
    return found.length === 0 ? undefined : found.filter(({ current, latest }) => current !== latest);
  } catch {
    return undefined; // as above
  }
}

async function wantedOf(files: ProjectFiles, directory: string): Promise<Map<string, string>> {
  let manifest: Data;
  try {
    manifest = new Data(JSON.parse((await files.read(within(directory, "package.json"))) ?? "{}"));
  } catch {
    return new Map(); // yarn will say what is wrong with it
  }
  const kinds = ["dependencies", "devDependencies", "optionalDependencies"];
  // What is no version of a registry's is not asked about.
  return new Map(
    kinds.flatMap((kind) =>
      Object.entries(manifest.at(kind).texts).filter(([, range]) => !/^(?:workspace|file|link|portal|patch|git|https?):/.test(range)),
    ),
  );
}

function within(directory: string, name: string): string {
  return directory === "" ? name : `${directory}/${name}`;
}

/** `{ name: { current, wanted, latest } }`; of a package that several parts have, npm tells a list. */
function byName(stdout: string): OutdatedPackage[] {
  return new Data(JSON.parse(stdout)).entries.flatMap(([name, entry]) =>
    (entry.items.length > 0 ? entry.items : [entry]).flatMap((one) => {
      const [latest, wanted] = [one.at("latest").text, one.at("wanted").text];
      return latest === undefined
        ? []
        : [{ name, current: one.at("current").text ?? "", ...(wanted === undefined ? {} : { wanted }), latest }];
    }),
  );
}

function listed(data: Data, [name, current, latest]: readonly [string, string, string]): OutdatedPackage[] {
  return data.items.flatMap((one) => {
    const [its, had, newest] = [one.at(name).text, one.at(current).text ?? "", one.at(latest).text];
    return its === undefined || newest === undefined || had === newest ? [] : [{ name: its, current: had, latest: newest }];
  });
}

/** One JSON value a line, of which one is the table. */
function yarnTable(stdout: string): OutdatedPackage[] {
  return stdout.split("\n").flatMap((line) => {
    const one = new Data(line.startsWith("{") ? JSON.parse(line) : undefined);
    if (one.at("type").text !== "table") return [];
    return one
      .at("data", "body")
      .items.map(({ items }) => items.map(({ text = "" }) => text))
      .map(([name = "", current = "", wanted = "", latest = ""]) => ({ name, current, wanted, latest }));
  });
}

/** JSON values one after the other, each ending in a line of its own. */
function goModules(stdout: string): OutdatedPackage[] {
  return stdout
    .split(/(?<=^\})\s*$/m)
    .filter((text) => text.trim() !== "")
    .flatMap((text) => {
      const one = new Data(JSON.parse(text));
      const [name, latest] = [one.at("Path").text, one.at("Update", "Version").text];
      return name === undefined || latest === undefined ? [] : [{ name, current: one.at("Version").text ?? "", latest }];
    });
}

/** A table drawn with lines, whose first row names the columns. */
function table(stdout: string): OutdatedPackage[] {
  const rows = stdout.split("\n").flatMap((line) => {
    const cells = line.split(/[|│]/).map((cell) => cell.trim());
    return cells.length < 5 ? [] : [cells.slice(1, -1)];
  });
  const [head = [], ...body] = rows;
  const [name, current, wanted, latest] = ["Package", "Current", "Update", "Latest"].map((title) => head.indexOf(title));
  const cell = (row: readonly string[], at: number | undefined): string => row[at ?? -1] ?? "";
  return body.flatMap((row) =>
    /^\d/.test(cell(row, latest))
      ? [
          {
            name: cell(row, name).replace(/ \(\w+\)$/, ""),
            current: cell(row, current),
            wanted: cell(row, wanted),
            latest: cell(row, latest),
          },
        ]
      : [],
  );
}

/** Name, version and newest version; a fourth group is one that is newer still. */
function matches(text: string, pattern: RegExp): OutdatedPackage[] {
  return [...text.matchAll(pattern)].flatMap(([, name = "", current = "", latest = "", newest]) =>
    current === (newest ?? latest)
      ? []
      : [{ name, current, ...(newest === undefined ? {} : { wanted: latest }), latest: newest ?? latest }],
  );
}
