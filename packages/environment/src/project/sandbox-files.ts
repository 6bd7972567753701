import type { ProjectFiles, Sandbox } from "@guildhall/core";

const LARGEST = 1024 * 1024;
const MOST_ENTRIES = 5_000;

/** A project's files as its sandbox sees them. */
export function sandboxFiles({ files, workspace }: Pick<Sandbox, "files" | "workspace">): ProjectFiles {
  const at = (path: string) => (path === "" ? workspace : `${workspace}/${path}`);
  return {
    async list(directory) {
      const entries = await files.list(at(directory)).catch(() => []); // not there: nothing to find
      return entries
        .slice(0, MOST_ENTRIES)
        .map(({ name, kind }) => ({ name, kind: kind === "symlink" ? ("other" as const) : kind }))
        .toSorted((a, b) => (a.name < b.name ? -1 : 1));
    },
    async read(path) {
      try {
        const { kind, size } = await files.stat(at(path));
        if (kind !== "file" || size > LARGEST) return undefined;
        return Buffer.from(await files.read(at(path))).toString("utf8");
      } catch {
        return undefined; // not there, or not ours to read
      }
    },
  };
}
