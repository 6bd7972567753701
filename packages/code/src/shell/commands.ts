import type { Node } from "web-tree-sitter";

/** One word of a command as far as it is known without running it. */
export interface Word {
  /** Text with quotes taken off. */
  text: string;
  /** As it stands in the script, quotes and all. */
  source: string;
  /** Parts of it come from variables, substitutions or globs: `text` is not what will be run. */
  dynamic: boolean;
}

/** A simple command somewhere in a script: also inside substitutions, functions and here-documents that are expanded. */
export interface SimpleCommand {
  name: Word;
  arguments: Word[];
  /** `NAME=value` before it. */
  assignments: string[];
  /** Files that it or what surrounds it writes to by redirection. */
  writes: Word[];
  /** Its input comes from the command before it in a pipeline. */
  piped: boolean;
  /** Commands before it in its pipeline, first one first. */
  upstream: string[];
}

/** Every simple command below `root`, in the order of the text. */
export function simpleCommands(root: Node): SimpleCommand[] {
  const found: SimpleCommand[] = [];
  visit(root, { writes: [], upstream: [] }, found);
  return found;
}

interface Surroundings {
  writes: Word[];
  upstream: string[];
}

function visit(node: Node, around: Surroundings, found: SimpleCommand[]): void {
  switch (node.type) {
    case "redirected_statement": {
      const writes = [...around.writes, ...node.namedChildren.flatMap((child) => redirection(child))];
      const before = found.length;
      for (const child of node.namedChildren) {
        if (child === null) continue;
        if (child.type === "file_redirect") {
          substitutions(child, around, found);
          continue;
        }
        // In `cat <<END | sh` the grammar hangs the rest of the pipeline below the here-document.
        const fed = child.type === "heredoc_redirect" ? found.slice(before).map((command) => command.name.text) : [];
        visit(child, { writes, upstream: [...around.upstream, ...fed] }, found);
      }
      return;
    }
    case "pipeline": {
      const upstream = [...around.upstream];
      for (const child of node.namedChildren) {
        if (child === null) continue;
        const before = found.length;
        visit(child, { ...around, upstream: [...upstream] }, found);
        upstream.push(...found.slice(before).map((command) => command.name.text));
      }
      return;
    }
    case "command":
      command(node, around, found);
      return;
    default:
      for (const child of node.namedChildren) if (child !== null) visit(child, around, found);
  }
}

function command(node: Node, around: Surroundings, found: SimpleCommand[]): void {
  const words: Word[] = [];
  const assignments: string[] = [];
  let name: Word | undefined;
  const writes = [...around.writes];
  for (const child of node.namedChildren) {
    if (child === null) continue;
    if (child.type === "variable_assignment") assignments.push(child.text);
    else if (child.type === "command_name") name = word(child.firstNamedChild ?? child);
    else if (child.type === "file_redirect" || child.type === "herestring_redirect") writes.push(...redirection(child));
    else words.push(word(child));
  }
  if (name !== undefined) {
    found.push({ name, arguments: words, assignments, writes, piped: around.upstream.length > 0, upstream: around.upstream });
  }
  // What is substituted into its words runs too, before it and outside its pipeline.
  for (const child of node.namedChildren) if (child !== null) substitutions(child, { ...around, upstream: [] }, found);
}

function substitutions(node: Node, around: Surroundings, found: SimpleCommand[]): void {
  if (node.type === "command_substitution" || node.type === "process_substitution") {
    for (const child of node.namedChildren) if (child !== null) visit(child, around, found);
    return;
  }
  for (const child of node.namedChildren) if (child !== null) substitutions(child, around, found);
}

function redirection(node: Node | null): Word[] {
  if (node?.type !== "file_redirect") return [];
  const operator = node.children.find((child) => child !== null && !child.isNamed)?.text ?? "";
  const target = node.childForFieldName("destination");
  if (target === null || !operator.includes(">") || /^\d+$|^-$/.test(target.text)) return [];
  return [word(target)];
}

function word(node: Node): Word {
  return { ...content(node), source: node.text };
}

function content(node: Node): Omit<Word, "source"> {
  switch (node.type) {
    case "raw_string":
      return { text: node.text.slice(1, -1), dynamic: false };
    case "ansi_c_string":
      return { text: node.text.slice(2, -1), dynamic: node.text.includes("\\") };
    case "string":
      return { text: node.text.slice(1, -1), dynamic: node.namedChildren.some((child) => child?.type !== "string_content") };
    case "number":
      return { text: node.text, dynamic: false };
    case "word":
      return { text: node.text.replace(/\\(.)/g, "$1"), dynamic: /(^|[^\\])[*?[]/.test(node.text) };
    case "concatenation": {
      const parts = node.namedChildren.flatMap((child) => (child === null ? [] : [word(child)]));
      return { text: parts.map((part) => part.text).join(""), dynamic: parts.some((part) => part.dynamic) };
    }
    default:
      return { text: node.text, dynamic: true };
  }
}
