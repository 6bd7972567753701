/** One line of a hunk: kept, taken out or put in. */
export interface HunkLine {
  kind: " " | "-" | "+";
  text: string;
}

/** One place of a file that changes. */
export interface Hunk {
  lines: HunkLine[];
  /** Where the old lines begin, from 1, as the patch has it; undefined: it does not say. */
  line: number | undefined;
  /** Lines to be found one after another before the place: `@@ class Foo`. */
  anchors: string[];
  /** The old lines are the file's last. */
  atEnd: boolean;
  /** Said of the last old and the last new line: it has no newline. */
  oldUnterminated: boolean;
  newUnterminated: boolean;
}

/** What a patch does to one file; paths are as the patch has them. */
export type FilePatch =
  | { change: "create"; path: string; text: string; mode: number | undefined }
  /** `hunks`: what the file must hold, if the patch says so. */
  | { change: "delete"; path: string; hunks: Hunk[] }
  | { change: "update"; path: string; moveTo: string | undefined; hunks: Hunk[]; mode: number | undefined };

/** Paths that a patch touches, as it has them. */
export function pathsOf(patches: readonly FilePatch[]): string[] {
  return patches.flatMap((patch) => (patch.change === "update" && patch.moveTo !== undefined ? [patch.path, patch.moveTo] : [patch.path]));
}
