import type { PartAction, ToolResult } from "@guildhall/core";

/** Absolute paths of the files that an action edits by its arguments. Of `edit view` and of questions, none. */
export function editedPaths(action: Pick<PartAction, "tool" | "input">, workspace: string): string[] {
  const { paths, write } = touchedPaths(action, workspace);
  return write ? paths : [];
}

/** The same with files that are only looked at: those of `edit`, `apply_patch`, and of the writing operations of `lsp` and `ast`. */
export function touchedPaths({ tool, input }: Pick<PartAction, "tool" | "input">, workspace: string): { paths: string[]; write: boolean } {
  const given = typeof input === "object" && input !== null ? (input as Record<string, unknown>) : {};
  const absolute = (path: string): string => (path.startsWith("/") ? path : `${workspace}/${path.replace(/^\.\//, "")}`);
  const { path } = given;
  if (tool === "edit" && typeof path === "string") return { paths: [absolute(path)], write: given["command"] !== "view" };
  if (tool === "apply_patch" && typeof given["patch"] === "string") {
    const named = given["patch"].matchAll(/^(?:\*\*\* (?:Update|Add|Delete) File: |\+\+\+ b\/|--- a\/)(.+)$/gm);
    return { paths: [...new Set([...named].map(([, one = ""]) => absolute(one.trim())))], write: true };
  }
  const operation = given["operation"];
  const writes = operation === "rename" || operation === "format" || (operation === "code_actions" && given["query"] !== undefined);
  if (tool === "lsp" && writes && typeof path === "string") return { paths: [absolute(path)], write: true };
  if (tool === "ast" && given["apply"] === true && typeof path === "string") return { paths: [absolute(path)], write: true };
  return { paths: [], write: false };
}

/** Absolute paths of the files that a tool says it has written, beside those that it was told. */
export function writtenPaths({ tool }: Pick<PartAction, "tool">, { data }: Pick<ToolResult, "data">, workspace: string): string[] {
  const said = typeof data === "object" && data !== null ? (data as Record<string, unknown>) : {};
  const listed = tool === "lsp" ? said["changed"] : tool === "ast" && said["applied"] === true ? said["files"] : undefined;
  if (!Array.isArray(listed)) return [];
  return listed.flatMap((one: unknown) => {
    const path = typeof one === "string" ? one : (one as { path?: unknown } | null)?.path;
    return typeof path === "string" ? [path.startsWith("/") ? path : `${workspace}/${path}`] : [];
  });
}
