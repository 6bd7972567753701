import type { CommandPurpose, EcosystemFacts, ProjectCommand } from "@guildhall/core";

/** One directory of a project, as a detector sees it. */
export interface ProjectDirectory {
  /** Relative to the project; empty: its root. */
  readonly path: string;
  /** Files in it. */
  readonly names: ReadonlySet<string>;
  readonly directories: ReadonlySet<string>;
  /** Text of a file in it; undefined: not there or not readable. */
  read(name: string): Promise<string | undefined>;
  /** Remembers that a file could not be understood. */
  problem(name: string, why: string): void;
}

/** Finds what one family of tools has in a directory, by its files alone. */
export type Detector = (directory: ProjectDirectory) => Promise<Array<Omit<EcosystemFacts, "directory">>>;

/** `["test", "cargo test"], …` as commands; undefined ones are left out. */
export function commandsOf(entries: ReadonlyArray<readonly [CommandPurpose, string | undefined]>): ProjectCommand[] {
  return entries.flatMap(([purpose, command]) => (command === undefined ? [] : [{ purpose, command }]));
}

/** The first of these files that is there. */
export function firstOf(directory: ProjectDirectory, names: readonly string[]): string | undefined {
  return names.find((name) => directory.names.has(name));
}

/** The facts' `lockFile`, when there is one. */
export function lockedBy(file: string | undefined): Pick<EcosystemFacts, "lockFile"> {
  return file === undefined ? {} : { lockFile: file };
}
