import { GuildError, type ToolContext, type ToolResult } from "@guildhall/core";
import { Risk } from "@guildhall/protocol";
import { z } from "zod";

import { defineTool } from "../define-tool.ts";
import { isStoredOutput, viewStoredOutput } from "../output/stored-output.ts";
import { isConfiguration, lexicalPath, type WorkspacePath, workspacePath } from "../workspace-path.ts";
import { changeFile, createFile, undoEdit } from "./change.ts";
import { EditHistory } from "./edit-history.ts";
import { view } from "./view.ts";

const schema = z.strictObject({
  command: z.enum(["view", "create", "str_replace", "insert", "undo"]),
  path: z.string().min(1).describe("Relative to the workspace, or absolute within it"),
  file_text: z.string().optional().describe("create: the whole content"),
  old_str: z.string().optional().describe("str_replace: text that occurs exactly once, with enough lines around it"),
  new_str: z.string().optional().describe("str_replace: what replaces it (left out: nothing); insert: the new lines"),
  insert_line: z.int().min(0).optional().describe("insert: the line after which; 0 is the beginning"),
  view_range: z.array(z.int()).length(2).optional().describe("view: [first, last] line; -1 is the end"),
});

type EditInput = z.output<typeof schema>;

/** View and change files byte-exactly; see docs/tools.md for every promise. */
export function createEditTool(workspace: string) {
  return defineTool({
    name: "edit",
    description:
      "View a file (numbered lines) or directory; create a file; replace text in it; insert lines; undo the last edit of a file.",
    schema,
    risk: ({ command, path }) => (command === "view" ? Risk.LOW : isConfiguration(workspace, path) ? Risk.HIGH : Risk.MEDIUM),
    resources: ({ command, path }) => {
      if (isStoredOutput(path)) return [];
      return [{ name: `file:${lexicalPath(workspace, path)}`, access: command === "view" ? "read" : "write" }];
    },
    repeatable: ({ command }) => command === "view",
    async execute(input, context) {
      try {
        return await edit(input, context);
      } catch (error) {
        if (GuildError.is(error) && error.code !== "internal" && error.code !== "unavailable" && error.code !== "cancelled") {
          return { status: "error", output: `${error.line.replace(/\.?$/, ".")}` };
        }
        throw error;
      }
    },
  });
}

async function edit(input: EditInput, context: ToolContext): Promise<ToolResult> {
  const { session } = context;
  const history = session.get("edit", () => new EditHistory());
  if (isStoredOutput(input.path)) {
    if (input.command !== "view") throw new GuildError("invalid_argument", "stored output can only be viewed");
    return viewStoredOutput(session.blobs, input.path, input.view_range);
  }
  const { files } = session.sandbox;
  const path: WorkspacePath = await workspacePath(session.sandbox, input.path);
  if (input.command === "view") return view(files, path, input.view_range, history);
  return history.exclusively(async () => {
    switch (input.command) {
      case "create":
        if (input.path.endsWith("/")) throw new GuildError("invalid_argument", `${input.path} names a directory, not a file`);
        return createFile(files, path, need(input.file_text, "create", "file_text"), history);
      case "str_replace":
        return changeFile(files, path, history, {
          command: "str_replace",
          wanted: need(input.old_str, "str_replace", "old_str"),
          replacement: input.new_str ?? "",
        });
      case "insert":
        return changeFile(files, path, history, {
          command: "insert",
          after: need(input.insert_line, "insert", "insert_line"),
          lines: need(input.new_str, "insert", "new_str"),
        });
      default:
        return undoEdit(files, path, history);
    }
  });
}

function need<T>(value: T | undefined, command: string, name: string): T {
  if (value === undefined) throw new GuildError("invalid_argument", `${command} needs ${name}`);
  return value;
}
