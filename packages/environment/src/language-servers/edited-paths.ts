import type { PartAction } from "@guildhall/core";

/** Absolute paths of the files that an action edits by its arguments: those of `edit` and `apply_patch`. Of `edit view`, none. */
export function editedPaths(action: Pick<PartAction, "tool" | "input">, workspace: string): string[] {
  return touchedPaths(action, workspace).write ? touchedPaths(action, workspace).paths : [];
}

/** The same with files that are only looked at. */
export function touchedPaths({ tool, input }: Pick<PartAction, "tool" | "input">, workspace: string): { paths: string[]; write: boolean } {
  const given = typeof input === "object" && input !== null ? (input as Record<string, unknown>) : {};
  const absolute = (path: string): string => (path.startsWith("/") ? path : `${workspace}/${path.replace(/^\.\//, "")}`);
  if (tool === "edit" && typeof given["path"] === "string") return { paths: [absolute(given["path"])], write: given["command"] !== "view" };
  if (tool === "apply_patch" && typeof given["patch"] === "string") {
    const named = given["patch"].matchAll(/^(?:\*\*\* (?:Update|Add|Delete) File: |\+\+\+ b\/|--- a\/)(.+)$/gm);
    return { paths: [...new Set([...named].map(([, path = ""]) => absolute(path.trim())))], write: true };
  }
  return { paths: [], write: false };
}
