import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

import { processSandbox } from "@guildhall/core/testing";
import {
  awarenessBlock,
  chooseEnvironment,
  completeEnvironment,
  detectProject,
  EditDiagnostics,
  hostFiles,
  hostSource,
  nixSource,
  type NixSetup,
  serverKinds,
  SharedServers,
  WorkspaceWatch,
} from "@guildhall/environment";

import { writeFixtureFlake } from "../packages/environment/src/testing/fixture-flake.ts";
import { fixtureProject, fixtureProjects } from "../packages/environment/src/testing/fixture-projects.ts";
import { descendants } from "./process-tree.ts";
import { type Figure, percentile, table } from "./table.ts";

/**
 * Environments: resolving a flake beside `nix develop -c true` and beside evaluating it again as direnv does, what an edit's diagnostics cost in a
 * project of 1,000 files, the watch over 100,000 files, and what an agent is told, in tokens. Servers run as plain processes: what a sandbox
 * adds is in `sandbox.ts`.
 */
const FILES = 1_000;
const EDITS = 40;
const GROUPS = 40;
const DIRECTORIES_A_GROUP = 50;
const FILES_A_DIRECTORY = 50;

const place = realpathSync(mkdtempSync(join(tmpdir(), "guild-bench-")));
try {
  // First: what others leave to be collected would be taken for its own.
  console.log(table(`environment: watch over ${GROUPS * DIRECTORIES_A_GROUP * FILES_A_DIRECTORY} files`, await watching()));
  if (existsSync("/usr/bin/nix")) console.log(table("environment: a flake (without nixpkgs)", await resolving()));
  console.log(table(`environment: edit to diagnostics, ${FILES} files`, [...(await typescript()), ...(await python())]));
  console.log(table("environment: what an agent is told, about four characters a token", await telling()));
} finally {
  rmSync(place, { recursive: true, force: true });
}

async function resolving(): Promise<Figure[]> {
  const workspace = join(place, "flake");
  mkdirSync(workspace);
  writeFixtureFlake(workspace, { version: "1.0.0" });
  const setup: NixSetup = {
    command: ["nix"],
    directory: join(place, "nix"),
    storeRoot: join(place, "nix/root"),
    user: undefined,
    substituters: [],
    trustedKeys: [],
    timeoutMs: 600_000,
  };
  const files = hostFiles(workspace);
  const request = {
    workspace,
    files,
    facts: await detectProject(files),
    trusted: true,
    signal: new AbortController().signal,
    progress: () => undefined,
  };
  const options = { setup, sandbox: { mounts: true, pure: true } };
  const source = nixSource({ ...options, cacheFile: join(place, "nix.json") });
  const figures = [await timed("cold: evaluated and built", () => source.resolve(request))];
  const warm: number[] = [];
  for (let round = 0; round < 50; round++) warm.push(await milliseconds(() => source.resolve(request)));
  figures.push({ name: "warm, p50: no Nix process", value: percentile(warm, 50), unit: "ms", goal: "50 ms" });
  const restarted = nixSource({ ...options, cacheFile: join(place, "nix.json") });
  figures.push(await timed("warm, after a restart", () => restarted.resolve(request)));
  figures.push(
    await timed("the same files evaluated again, as direnv does after a change", () =>
      nixSource({ ...options, cacheFile: undefined }).resolve(request),
    ),
  );
  const nix = [
    "--extra-experimental-features",
    "nix-command flakes",
    "--option",
    "flake-registry",
    "",
    "--option",
    "build-users-group",
    "",
  ];
  const home = { ...process.env, HOME: place };
  const develop = [...nix, "develop", "--store", `local?root=${join(place, "nix/root")}`, `path:${workspace}`, "-c", "true"];
  // The shell itself is not in the fixture's store under its outer path: what is timed is all that comes before it.
  const run = async (): Promise<void> => void (await once(spawn("nix", develop, { env: home, stdio: "ignore" }), "close"));
  await run();
  figures.push(await timed("nix develop -c true, warm", run));
  return figures;
}

async function typescript(): Promise<Figure[]> {
  const workspace = join(place, "ts");
  mkdirSync(workspace);
  writeFileSync(join(workspace, "tsconfig.json"), '{"compilerOptions": {"strict": true, "types": [], "module": "nodenext"}}');
  for (let at = 0; at < FILES; at++) {
    const imported = at === 0 ? "" : `import { f${at - 1} } from "./m${at - 1}.ts";\n`;
    writeFileSync(
      join(workspace, `m${at}.ts`),
      `${imported}export function f${at}(x: number): number {\n  return x + ${at === 0 ? "1" : `f${at - 1}(x)`};\n}\n`,
    );
  }
  const require = createRequire(import.meta.url);
  const manifest = require.resolve(`@typescript/typescript-${process.platform}-${process.arch}/package.json`, {
    paths: [dirname(import.meta.dirname)],
  });
  const programs = { "tsc-native": join(dirname(manifest), "lib/tsc") };
  const edit = (at: number, wrong: boolean) => (text: string) =>
    text.replace(/return (String\()?(.*?)\)?;$/m, wrong ? "return String($2);" : "return $2;") + `// ${at}\n`;
  return await edits("TypeScript", workspace, programs, "m500.ts", edit);
}

async function python(): Promise<Figure[]> {
  const workspace = join(place, "py");
  mkdirSync(workspace);
  for (let at = 0; at < FILES; at++) {
    const imported = at === 0 ? "" : `from m${at - 1} import f${at - 1}\n`;
    writeFileSync(
      join(workspace, `m${at}.py`),
      `${imported}def f${at}(x: int) -> int:\n    return x + ${at === 0 ? "1" : `f${at - 1}(x)`}\n`,
    );
  }
  const manifest = createRequire(import.meta.url).resolve("pyright/package.json");
  const programs = { "pyright-langserver": join(dirname(manifest), "langserver.index.js") };
  const edit = (at: number, wrong: boolean) => (text: string) =>
    text.replace(/return (str\()?(x.*?\))\)?$/m, wrong ? "return str($2)" : "return $2") + `# ${at}\n`;
  return await edits("Python", workspace, programs, "m500.py", edit);
}

async function edits(
  language: string,
  workspace: string,
  programs: Readonly<Record<string, string>>,
  file: string,
  edit: (at: number, wrong: boolean) => (text: string) => string,
): Promise<Figure[]> {
  const before = residentMegabytes();
  const shared = new SharedServers();
  const closing: Array<() => void> = [];
  const open = async () => {
    const { sandbox, close } = processSandbox(workspace);
    closing.push(close);
    return Object.assign(sandbox, { gone: new Promise<string>(() => undefined), dispose: async () => close() });
  };
  const place = { key: "one", watched: workspace, kinds: serverKinds, programs, open };
  const [diagnostics, ...others] = [1, 2, 3, 4].map(() => new EditDiagnostics(shared.join(place), { patienceMs: 60_000 }));
  const path = join(workspace, file);
  let text = readFileSync(path, "utf8");
  const taken: number[] = [];
  let found = 0;
  try {
    for (let at = 0; at <= EDITS; at++) {
      const next = edit(at, at % 2 === 0)(text);
      writeFileSync(path, next);
      taken.push(await milliseconds(async () => void (found += (await diagnostics?.of(path, file, text, next)) === undefined ? 0 : 1)));
      text = next;
    }
    const alone = residentMegabytes() - before;
    for (const one of others) await one.of(path, file, text, `${text}\n`);
    const [first = Number.NaN, ...later] = taken;
    return [
      { name: `${language}: first edit, the server starts`, value: first, unit: "ms" },
      { name: `${language}: later edits, p50`, value: percentile(later, 50), unit: "ms" },
      { name: `${language}: later edits, p95`, value: percentile(later, 95), unit: "ms" },
      { name: `${language}: edits whose change was told`, value: (100 * found) / taken.length, unit: "%" },
      { name: `${language}: memory of the server, for 1 session of the directory (PSS)`, value: alone, unit: "MB" },
      { name: `${language}: … for 4 sessions of the directory`, value: residentMegabytes() - before, unit: "MB" },
    ];
  } finally {
    await shared.close();
    for (const close of closing) close();
  }
}

async function watching(): Promise<Figure[]> {
  const root = join(place, "many");
  for (let at = 0; at < DIRECTORIES_A_GROUP; at++) {
    const directory = join(root, "d0", `e${at}`);
    mkdirSync(directory, { recursive: true });
    for (let file = 0; file < FILES_A_DIRECTORY; file++) writeFileSync(join(directory, `f${file}`), "");
  }
  for (let group = 1; group < GROUPS; group++) execFileSync("cp", ["-r", join(root, "d0"), join(root, `d${group}`)]);
  const before = memoryBytes();
  const cpu = process.cpuUsage();
  const start = performance.now();
  const watch = new WorkspaceWatch(root);
  await watch.ready;
  const figures: Figure[] = [
    { name: "until all directories are watched", value: performance.now() - start, unit: "ms" },
    { name: "directories", value: watch.size, unit: "" },
    { name: "memory", value: (memoryBytes() - before) / 2 ** 20, unit: "MB" },
    { name: "CPU until then", value: process.cpuUsage(cpu).user / 1000, unit: "ms" },
  ];
  const idle = process.cpuUsage();
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  const spent = process.cpuUsage(idle);
  figures.push({ name: "CPU of 2 s in which nothing changes", value: (spent.user + spent.system) / 1000, unit: "ms" });
  const script = 'i=0; while [ $i -lt 1000 ]; do echo > "$1/d$((i % 40))/e$((i % 50))/f1"; i=$((i+1)); done';
  execFileSync("bash", ["-c", script, "touch", root]);
  figures.push(await timed("a look after 1,000 changes", () => watch.take()));
  figures.push(await timed("a look after none", () => watch.take()));
  watch.close();
  return figures;
}

/** What is in use after a collection: pages that the process keeps for later, it had before too. */
function memoryBytes(): number {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

async function telling(): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const name of Object.keys(fixtureProjects)) {
    const { directory, remove } = fixtureProject(name);
    try {
      const files = hostFiles(directory);
      const facts = await detectProject(files);
      const request = {
        workspace: directory,
        files,
        facts,
        trusted: false,
        signal: new AbortController().signal,
        progress: () => undefined,
      };
      const environment = completeEnvironment(await chooseEnvironment([hostSource], request), facts, [], { home: "" });
      const text = awarenessBlock(environment, facts, { platform: "linux x64", languageServers: [], ports: [] });
      figures.push({ name, value: text.length / 4, unit: "tokens", goal: "1500 tokens" });
    } finally {
      remove();
    }
  }
  return figures;
}

async function timed(name: string, action: () => Promise<unknown>): Promise<Figure> {
  return { name, value: await milliseconds(action), unit: "ms" };
}

async function milliseconds(action: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await action();
  return performance.now() - start;
}

/** Memory of all processes below this one, shared pages divided. */
function residentMegabytes(): number {
  let sum = 0;
  for (const pid of descendants([process.pid])) {
    if (pid === process.pid) continue;
    try {
      sum += Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1] ?? 0) / 1024;
    } catch {
      // ended meanwhile
    }
  }
  return sum;
}
