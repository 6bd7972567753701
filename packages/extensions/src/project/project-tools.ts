import { hash } from "node:crypto";
import { stripTypeScriptTypes } from "node:module";

import { GuildError } from "@guildhall/core";

import type { NamedMcpServer } from "../mcp/server-config.ts";
import { TOOL_DRIVER } from "./tool-driver.ts";

/**
 * Modules that export tools, as a server of the session: `name` is what their tools are called by and whose they are. `files` are texts by relative
 * path; those that lie at the top are loaded, the others may be imported by them. TypeScript is stripped of its types here, so that any Node.js
 * from 18 will do inside; imports of packages are looked for in the workspace. Throws `invalid_argument` for a file that is no TypeScript.
 */
export function projectToolServer(
  name: string,
  origin: NamedMcpServer["origin"],
  files: ReadonlyMap<string, string>,
): NamedMcpServer | undefined {
  const modules = [...files].filter(([path]) => /\.(ts|mts|js|mjs)$/.test(path) && !/\.(test|d)\.m?ts$/.test(path));
  const top = modules.filter(([path]) => !path.includes("/"));
  if (top.length === 0) return undefined;
  const made = new Map(modules.map(([path, text]) => [runnable(path), javaScript(path, text)]));
  const directory = `/tmp/guildhall-tools-${hash("sha256", JSON.stringify([...made]), "hex").slice(0, 16)}`;
  const programs = top.map(([path]) => `${directory}/${runnable(path)}`);
  return {
    name,
    origin,
    kind: "tools",
    config: { command: "node", args: ["--no-warnings", "-e", TOOL_DRIVER, ...programs], env: {}, disabled: false, timeout_s: 120 },
    files: new Map([...made].map(([path, text]) => [`${directory}/${path}`, text])),
    packages: directory,
  };
}

function runnable(path: string): string {
  return path.replace(/\.(ts|mts|js)$/, ".mjs");
}

function javaScript(path: string, text: string): string {
  let code = text;
  try {
    if (/\.m?ts$/.test(path)) code = stripTypeScriptTypes(text);
  } catch (error) {
    throw new GuildError(
      "invalid_argument",
      `${path} cannot be read: ${error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error)}`,
      {
        subject: path,
        remedy: "only types that can be left out are understood: no enums, no namespaces",
      },
    );
  }
  return code.replaceAll(/((?:from|import)\s*\(?\s*["'])(\.{1,2}\/[^"']+)\.(?:ts|mts|js)(["'])/g, "$1$2.mjs$3");
}
