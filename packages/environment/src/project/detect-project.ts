import type { EcosystemFacts, ProjectFacts, ProjectFiles } from "@guildhall/core";

import { detectCmake, detectJust, detectMake, detectNix } from "./build-files.ts";
import { detectCargo, detectDotnet, detectGo } from "./compiled.ts";
import { declaredTools } from "./declared-tools.ts";
import { detectDeno } from "./deno.ts";
import type { Detector, ProjectDirectory } from "./detector.ts";
import { detectJvm } from "./jvm.ts";
import { detectNode } from "./node.ts";
import { detectPython } from "./python.ts";
import { detectBundler, detectComposer, detectMix } from "./scripting.ts";
import { detectServices } from "./services.ts";

const DETECTORS: readonly Detector[] = [
  detectNode,
  detectDeno,
  detectPython,
  detectCargo,
  detectGo,
  detectJvm,
  detectBundler,
  detectComposer,
  detectDotnet,
  detectMix,
  detectCmake,
  detectMake,
  detectJust,
  detectNix,
];

/** Directories that hold what others have made, or nothing to build. */
const PASSED_OVER =
  /^(\..*|node_modules|vendor|target|dist|build|out|bin|obj|deps|_build|venv|env|__pycache__|third_party|testdata|fixtures?|docs?|coverage|tmp)$/;

/** Directories below the root that are looked into, and how deep. */
const MOST_DIRECTORIES = 60;
const DEPTH = 2;
const MOST_ECOSYSTEMS = 24;

/**
 * What a project's files say: package managers and build tools of the root and of directories near it, how things are done with them,
 * services, and the tools that it asks for. Runs nothing, and reads a bounded number of files.
 */
export async function detectProject(files: ProjectFiles): Promise<ProjectFacts> {
  const problems: string[] = [];
  const root = await openDirectory(files, "", problems);
  const ecosystems: EcosystemFacts[] = [];
  for await (const directory of nearby(files, root, problems)) {
    const found = await Promise.all(DETECTORS.map((detect) => detect(directory)));
    ecosystems.push(...found.flat().map((facts) => ({ ...facts, directory: directory.path })));
  }
  const [services, declared] = [await detectServices(root), await declaredTools(root)];
  return { ecosystems: withoutMembers(ecosystems).slice(0, MOST_ECOSYSTEMS), services, declared, problems: [...new Set(problems)] };
}

async function* nearby(files: ProjectFiles, root: ProjectDirectory, problems: string[]): AsyncIterable<ProjectDirectory> {
  yield root;
  let level = [root];
  let count = 0;
  for (let depth = 0; depth < DEPTH; depth++) {
    const next: ProjectDirectory[] = [];
    for (const directory of level) {
      for (const name of directory.directories) {
        if (PASSED_OVER.test(name)) continue;
        if (count++ >= MOST_DIRECTORIES) return;
        const below = await openDirectory(files, directory.path === "" ? name : `${directory.path}/${name}`, problems);
        next.push(below);
        yield below;
      }
    }
    level = next;
  }
}

/** A member of a workspace is worked on from the root: only what differs in kind or has scripts of its own is told. */
function withoutMembers(all: EcosystemFacts[]): EcosystemFacts[] {
  const atRoot = new Set(all.filter(({ directory }) => directory === "").map(({ ecosystem, manager }) => `${ecosystem} ${manager}`));
  return all.filter(
    ({ directory, ecosystem, manager, scripts, lockFile }) =>
      directory === "" || lockFile !== undefined || Object.keys(scripts).length > 0 || !atRoot.has(`${ecosystem} ${manager}`),
  );
}

async function openDirectory(files: ProjectFiles, path: string, problems: string[]): Promise<ProjectDirectory> {
  const entries = await files.list(path);
  const at = (name: string) => (path === "" ? name : `${path}/${name}`);
  const read = new Map<string, Promise<string | undefined>>();
  return {
    path,
    names: new Set(entries.filter(({ kind }) => kind === "file").map(({ name }) => name)),
    directories: new Set(entries.filter(({ kind }) => kind === "directory").map(({ name }) => name)),
    read(name) {
      const known = read.get(name) ?? files.read(at(name));
      read.set(name, known);
      return known;
    },
    problem: (name, why) => void problems.push(`${at(name)} cannot be read: ${why}`),
  };
}
