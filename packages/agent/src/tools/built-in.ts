import type { CodeStructure, Tool } from "@guildhall/core";

import { createAstTool } from "./ast/ast.ts";
import { type BashOptions, createBashTool } from "./bash/bash.ts";
import { createBrowserTool } from "./browser/browser.ts";
import { desktopTool } from "./desktop/desktop.ts";
import { createEditTool } from "./edit/edit.ts";
import { finishTool } from "./finish.ts";
import { createApplyPatchTool } from "./patch/apply-patch.ts";
import { createProcessTool } from "./process/process.ts";
import { createNodeTool, createPythonTool, type ReplOptions } from "./repl/repl.ts";
import { createSearchTool } from "./search.ts";
import { portsTool } from "./system/ports.ts";
import { systemTool } from "./system/system.ts";
import { taskTrackerTool } from "./task-tracker.ts";
import { thinkTool } from "./think.ts";
import { dnsTool } from "./web/dns.ts";
import { createFetchTool } from "./web/fetch.ts";
import { httpTool } from "./web/http.ts";
import { createWebSearchTool } from "./web/web-search.ts";

export interface BuiltInOptions {
  /** Absolute path of the workspace. */
  workspace: string;
  bash?: BashOptions;
  repl?: ReplOptions;
  /** Address of the web's search service, asked at each use; see the setting `search.url`. Empty, or absent: there is none. */
  searchAddress?(): string;
  /** Path of ripgrep within the sandbox; default the toolkit's. */
  rg?: string;
  /** Loads the parsers, at the first call that needs them; none: no `ast`. */
  codeStructure?(): Promise<CodeStructure>;
}

/** The tools that every session has, in the order in which models are shown them. */
export function createBuiltInTools(options: BuiltInOptions): Tool[] {
  const { codeStructure } = options;
  return [
    createBashTool(options.bash),
    createEditTool(options.workspace),
    createApplyPatchTool(options.workspace),
    createSearchTool(options),
    thinkTool,
    taskTrackerTool,
    finishTool,
    createProcessTool(options.bash),
    portsTool,
    systemTool,
    createPythonTool(options.repl),
    createNodeTool(options.repl),
    createFetchTool(options.workspace),
    httpTool,
    dnsTool,
    createBrowserTool(options.workspace),
    desktopTool,
    createWebSearchTool(() => options.searchAddress?.() ?? ""),
    ...(codeStructure === undefined ? [] : [createAstTool({ ...options, codeStructure })]),
  ];
}
