import type { SimpleCommand } from "./commands.ts";
import { type Finding, high, medium } from "./finding.ts";

const GIT_READ = new Set([
  "status",
  "log",
  "diff",
  "show",
  "blame",
  "grep",
  "ls-files",
  "ls-tree",
  "rev-parse",
  "rev-list",
  "describe",
  "shortlog",
  "reflog",
  "cat-file",
  "merge-base",
  "name-rev",
  "whatchanged",
  "help",
  "version",
  "count-objects",
  "fsck",
  "check-ignore",
  "for-each-ref",
]);
const GIT_WRITE = new Set([
  "add",
  "commit",
  "tag",
  "branch",
  "switch",
  "checkout",
  "restore",
  "stash",
  "merge",
  "rebase",
  "cherry-pick",
  "revert",
  "mv",
  "rm",
  "apply",
  "am",
  "init",
  "worktree",
  "bisect",
  "notes",
  "format-patch",
  "gc",
]);

/** What a git command line means; its options before the verb too. */
export function gitRule(command: SimpleCommand): Finding[] {
  const words = command.arguments.map((word) => word.text);
  const config = words.findIndex((text) => text === "-c" || text === "--config-env" || text === "--exec-path");
  if (config >= 0) return [high("its options can make git run programs")];
  const verb =
    words.find(
      (text, index) =>
        !text.startsWith("-") && words[index - 1] !== "-C" && words[index - 1] !== "--git-dir" && words[index - 1] !== "--work-tree",
    ) ?? "";
  const rest = words.slice(words.indexOf(verb) + 1);
  if (verb === "push") return [high("it publishes commits")];
  if (verb === "config")
    return rest.some((text) => ["--get", "--list", "-l", "--get-all", "get", "list"].includes(text))
      ? []
      : [high("git's configuration can make it run programs")];
  if (verb === "remote")
    return rest.length === 0 || rest[0] === "-v" || rest[0] === "show" || rest[0] === "get-url"
      ? []
      : [high("it changes where commits go")];
  if (
    verb === "filter-branch" ||
    verb === "filter-repo" ||
    verb === "update-ref" ||
    verb === "replace" ||
    verb === "submodule" ||
    verb === "credential"
  )
    return [high(`git ${verb} rewrites history, reaches out or runs programs`)];
  if (verb === "clone" || verb === "fetch" || verb === "pull" || verb === "ls-remote") return [medium(`git ${verb} uses the network`)];
  if (verb === "reset" && rest.includes("--hard")) return [medium("it throws uncommitted work away")];
  if (verb === "clean") return [medium("it removes untracked files")];
  if (verb === "branch" && rest.some((text) => /^-[dD]$|^--delete$/.test(text))) return [medium("it deletes a branch")];
  if ((verb === "checkout" || verb === "restore") && (rest.includes("--") || rest.includes(".")))
    return [medium("it throws uncommitted work away")];
  if (verb === "stash" && (rest[0] === "drop" || rest[0] === "clear")) return [medium("it throws stashed work away")];
  if (verb === "reset" || GIT_READ.has(verb) || GIT_WRITE.has(verb) || verb === "") return [];
  return [medium(`nothing is known of git ${verb}`)];
}
