/** What has become different around a session since its last step. */
export interface StateChanges {
  /** Relative paths that somebody else has changed. */
  files: readonly string[];
  /** Of those, or of what a command changed, the ones that the agent had looked at. */
  seen: readonly string[];
  /** More files than could be listed. */
  overflow: boolean;
  branch?: { from: string; to: string };
  /** Somebody else has committed, pulled or reset: what the branch, the same as before, is at. `during`: by what git has written, while a command that names git ran. */
  commit?: { from: string; to: string; during?: readonly string[] };
  opened: readonly number[];
  closed: readonly number[];
  /** Background processes that began and that ended. */
  began: readonly string[];
  ended: readonly string[];
  /** Lines about scarce resources. */
  pressure: readonly string[];
  /** How to install from lock files, by the file's name. */
  install: Readonly<Record<string, string>>;
}

const MOST_FILES = 15;
const MOST_PORTS = 12;
const MOST_PROCESSES = 8;
/** Together well below 500 tokens. */
const MOST_CHARACTERS = 1_600;

/** What the agent is told, bounded whatever has happened; undefined: nothing has. File names are data: each on its line, cut. */
export function describeChanges(changes: StateChanges): string | undefined {
  const lines: string[] = [];
  if (changes.branch !== undefined) lines.push(`- The branch is ${clean(changes.branch.to)} now; it was ${clean(changes.branch.from)}.`);
  if (changes.commit !== undefined) lines.push(movedHead(changes.commit));
  const seen = new Set(changes.seen);
  if (seen.size > 0) lines.push(...listed("Changed since you looked at it, not by your edits; look again before you change it", [...seen]));
  const others = changes.files.filter((file) => !seen.has(file));
  if (others.length > 0) lines.push(...listed("Changed from outside this session", others));
  if (changes.overflow) lines.push("- More files changed than can be listed: look at what matters again.");
  for (const file of changes.files) {
    const name = file.slice(file.lastIndexOf("/") + 1);
    const command = changes.install[name];
    if (command !== undefined)
      lines.push(`- ${clean(file)} changed: what is installed may be out of date; \`${command}\` installs from it.`);
  }
  if (changes.opened.length > 0) lines.push(`- Listening now: ${ports(changes.opened)}.`);
  if (changes.closed.length > 0) lines.push(`- No longer listening: ${ports(changes.closed)}.`);
  if (changes.began.length > 0) lines.push(`- Running in the background now: ${named(changes.began)}.`);
  if (changes.ended.length > 0) lines.push(`- No longer running: ${named(changes.ended)}.`);
  for (const line of changes.pressure) lines.push(`- ${line}`);
  if (lines.length === 0) return undefined;
  const text = ["What has changed around you:", ...lines].join("\n");
  return text.length <= MOST_CHARACTERS ? text : `${text.slice(0, MOST_CHARACTERS)}…`;
}

function movedHead({ from, to, during }: NonNullable<StateChanges["commit"]>): string {
  const places = `it is at ${clean(to)} now; it was at ${clean(from)}`;
  if (during === undefined) return `- Somebody has moved HEAD on the same branch: ${places}.`;
  const why = during.length === 0 ? "" : ` (${named(during)})`;
  return `- HEAD has moved on the same branch while your command ran, not only by what it has printed: ${places}${why}.`;
}

function listed(what: string, files: readonly string[]): string[] {
  const shown = files.slice(0, MOST_FILES).map((file) => clean(file));
  const more = files.length > shown.length ? ` and ${files.length - shown.length} more` : "";
  return [`- ${what}: ${shown.join(", ")}${more}`];
}

function ports(all: readonly number[]): string {
  const shown = all.slice(0, MOST_PORTS).map((port) => `port ${port}`);
  return all.length > shown.length ? `${shown.join(", ")} and ${all.length - shown.length} more` : shown.join(", ");
}

function named(all: readonly string[]): string {
  const shown = all.slice(0, MOST_PROCESSES).map((one) => clean(one));
  return all.length > shown.length ? `${shown.join(", ")} and ${all.length - shown.length} more` : shown.join(", ");
}

function clean(text: string): string {
  const flat = text.replaceAll(/[\s\p{Cc}\p{Cf}<>`]+/gu, " ").trim();
  return flat.length > 80 ? `…${flat.slice(-79)}` : flat;
}
