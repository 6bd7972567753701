import { z } from "zod";

/** Seconds that a command may take when the call does not say. */
export const DEFAULT_S = 30;

const COMMANDS = [
  "open",
  "snapshot",
  "click",
  "type",
  "press",
  "select",
  "upload",
  "hover",
  "scroll",
  "wait",
  "screenshot",
  "evaluate",
  "console",
  "network",
  "tabs",
  "back",
  "forward",
  "reload",
  "dialog",
  "download",
  "close",
] as const;

export const browserSchema = z.strictObject({
  command: z.enum(COMMANDS),
  url: z.string().min(1).optional().describe("open"),
  ref: z.string().min(1).optional().describe("Element: a ref of the snapshot, or a CSS selector"),
  text: z
    .string()
    .optional()
    .describe(
      "type: replaces what is there; press: a key such as Enter or Control+a; wait: words to appear; evaluate: JavaScript; dialog: answer of the next",
    ),
  submit: z.boolean().optional().describe("type: then Enter; dialog: accept"),
  values: z.array(z.string()).max(100).optional().describe("select"),
  paths: z.array(z.string().min(1)).max(20).optional().describe("upload: files of the workspace; download: where to"),
  gone: z.boolean().optional().describe("wait: for them to vanish"),
  dy: z.int().min(-100_000).max(100_000).optional().describe("scroll: pixels"),
  tab: z.int().min(0).max(100).optional().describe("tabs: go to; close: this one; open: in this one, 0 is a new one"),
  full_page: z.boolean().optional(),
  timeout_s: z.number().positive().max(300).optional().describe(`Default ${DEFAULT_S}`),
});
export type BrowserInput = z.output<typeof browserSchema>;
