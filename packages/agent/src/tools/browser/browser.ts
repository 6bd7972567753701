import { GuildError, type ToolContext, type ToolResult } from "@guildhall/core";
import { Risk } from "@guildhall/protocol";

import { defineTool } from "../define-tool.ts";
import { LONG_URL } from "../web/address.ts";
import { withinTime } from "../web/time-limit.ts";
import { lexicalPath } from "../workspace-path.ts";
import { type BrowserInput, browserSchema, DEFAULT_S } from "./browser-input.ts";
import { act } from "./commands.ts";
import { KeptBrowser } from "./kept-browser.ts";

/** A Chromium in the session's sandbox, within the network policy; see docs/tools.md. */
export function createBrowserTool(workspace: string) {
  return defineTool({
    name: "browser",
    description:
      "Drive a real Chromium: open pages (also of servers in the sandbox, at localhost), act on elements by their refs, read the page as an outline, take screenshots, read console and network.",
    lazy: true,
    schema: browserSchema,
    risk: ({ command }) =>
      ["snapshot", "screenshot", "console", "network", "tabs", "wait", "scroll"].includes(command) ? Risk.LOW : Risk.MEDIUM,
    resources: ({ command, paths = [] }) => {
      const access = command === "upload" ? ("read" as const) : ("write" as const);
      return [
        { name: "browser:main", access: "write" },
        ...paths.map((path) => ({ name: `file:${lexicalPath(workspace, path)}`, access })),
      ];
    },
    sends: ({ command, url = "", text = "" }) => {
      if (command === "upload") return "an upload by the browser";
      if (command === "evaluate") return "a script in the browser";
      return url.length > LONG_URL || (command === "type" && text.length > LONG_URL) ? "a long text by the browser" : undefined;
    },
    async execute(input, context) {
      const kept = context.session.get("browser", () => new KeptBrowser(context.session));
      return kept.exclusively(() =>
        withinTime(context.signal, input.timeout_s ?? DEFAULT_S, (signal) => run(kept, input, context, signal)),
      );
    },
  });
}

async function run(kept: KeptBrowser, input: BrowserInput, context: ToolContext, signal: AbortSignal): Promise<ToolResult> {
  signal.throwIfAborted();
  if (input.command === "close" && input.tab === undefined) {
    await kept.close();
    return { status: "ok", output: "The browser is closed." };
  }
  if (kept.running === undefined && input.command !== "open") {
    const lost = kept.takeLoss();
    const why = lost === undefined ? "no page is open" : `the browser has ended (${lost})`;
    throw new GuildError("failed_precondition", why, { remedy: "begin with the command open" });
  }
  const browser = await kept.open();
  const lost = kept.takeLoss();
  const result = await act(browser, input, context, signal);
  return lost === undefined
    ? result
    : { ...result, output: `[the browser before had ended: ${lost}; this is a fresh one]\n${result.output}` };
}
