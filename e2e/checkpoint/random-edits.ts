import {
  appendFileSync,
  chmodSync,
  closeSync,
  constants,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";

import type { Random } from "@guildhall/core/testing";

/** Up to seven random changes of a directory tree, in words. */
export function randomEdits(root: string, random: Random, options: { ignoreRules: boolean }): string[] {
  const edits: string[] = [];
  for (let left = random.below(8); left > 0; left--) edits.push(randomEdit(root, random, options));
  return edits;
}

/** One change, as an editor, a shell or a build might make it. */
function randomEdit(root: string, random: Random, options: { ignoreRules: boolean }): string {
  const entries = listing(root);
  const files = entries.filter(({ kind }) => kind === "file").map(({ path }) => path);
  const directories = entries.filter(({ kind }) => kind === "directory").map(({ path }) => path);
  const any = entries.map(({ path }) => path);
  const name = () => random.pick(["a", "b", "c", "a.txt", "a-b", "B", "ü", "x y", "z.log", "out", ".hidden"]);
  const freshPath = () => {
    const directory = directories.length > 0 && random.chance(0.7) ? random.pick(directories) : "";
    return join(directory, ...Array.from({ length: 1 + random.below(2) }, name));
  };
  const content = () => random.pick(["", "x", "same\n", `${random.below(1000)}\n`, "line\n".repeat(random.below(2000))]);
  const at = (path: string) => join(root, path);
  const write = (path: string) => {
    mkdirSync(dirname(at(path)), { recursive: true });
    overwrite(at(path), content());
  };

  const edits: Record<string, () => string> = {
    create: () => told(freshPath(), write),
    write: () => told(random.pick(files), write),
    append: () => told(random.pick(files), (path) => appendFileSync(at(path), "more\n")),
    replace: () =>
      told(random.pick(files), (path) => {
        // As editors save: a new file takes the old one's place.
        writeFileSync(at(`${path}~`), content());
        renameSync(at(`${path}~`), at(path));
      }),
    sameSize: () => told(random.pick(files), (path) => writeFileSync(at(path), "y".repeat(lstatSync(at(path)).size))),
    remove: () => told(random.pick(any), (path) => rmSync(at(path), { recursive: true })),
    rename: () => {
      const to = freshPath();
      return told(random.pick(any), (path) => {
        mkdirSync(dirname(at(to)), { recursive: true });
        renameSync(at(path), at(to));
      });
    },
    directory: () => told(freshPath(), (path) => mkdirSync(at(path), { recursive: true })),
    symlink: () =>
      told(freshPath(), (path) => {
        mkdirSync(dirname(at(path)), { recursive: true });
        symlinkSync(random.pick(["nowhere", "../a", "/nonexistent/file", "."]), at(path));
      }),
    executable: () => told(random.pick(files), (path) => chmodSync(at(path), random.pick([0o755, 0o644, 0o700, 0o600]))),
    hardLink: () => {
      // The new name is one that no rule here ignores: that a file has another name in a directory that is not watched shows only when all is looked at.
      const covered = ["", ...directories.filter((path) => !/(^|\/)(out|c)(\/|$)/.test(path))];
      const to = join(random.pick(covered), `${name()}.txt`);
      return told(random.pick(files.filter((path) => !path.endsWith(".gitignore"))), (path) => {
        linkSync(at(path), at(to));
      });
    },
    becomeDirectory: () =>
      told(random.pick(files), (path) => {
        unlinkSync(at(path));
        mkdirSync(at(path));
        writeFileSync(at(join(path, name())), content());
      }),
    ignore: () => {
      const rules = random.pick(["*.log\n", "out/\n", "/a\n", "*\n!*.txt\n!*/\n", "**/b/c\n", ""]);
      return told(join(random.chance(0.5) || directories.length === 0 ? "" : random.pick(directories), ".gitignore"), (path) =>
        overwrite(at(path), rules),
      );
    },
  };
  const possible = Object.keys(edits).filter((edit) => {
    if (edit === "ignore") return options.ignoreRules;
    if (["create", "directory", "symlink"].includes(edit)) return true;
    if (edit === "hardLink") return files.some((path) => !path.endsWith(".gitignore"));
    return (edit === "remove" || edit === "rename" ? any : files).length > 0;
  });
  const edit = random.pick(possible);
  try {
    return `${edit} ${edits[edit]?.() ?? ""}`;
  } catch (error) {
    // A parent that is a file, a name that is taken, a directory moved into itself: no edit then.
    if (error instanceof Error && "code" in error) return `${edit} was not possible`;
    throw error;
  }
}

/** Everything below, links not followed (which `readdir` with `recursive` does). */
export function listing(root: string, directory = ""): Array<{ path: string; kind: "file" | "directory" | "symlink" }> {
  return readdirSync(join(root, directory), { withFileTypes: true })
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(directory, entry.name);
      if (entry.isDirectory()) return [{ path, kind: "directory" as const }, ...listing(root, path)];
      return [{ path, kind: entry.isSymbolicLink() ? ("symlink" as const) : ("file" as const) }];
    });
}

/** Whoever runs these tests may be root: nothing here may reach a file outside by a link that an earlier edit made. */
function overwrite(path: string, content: string): void {
  const file = openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW);
  try {
    writeSync(file, content);
  } finally {
    closeSync(file);
  }
}

function told(path: string, edit: (path: string) => void): string {
  edit(path);
  return path;
}
