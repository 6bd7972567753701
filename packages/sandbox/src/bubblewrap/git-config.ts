/**
 * Values of a git configuration file that name further files whose content git runs or obeys: `core.hooksPath`, `include.path`
 * and `includeIf.*.path`; and whether it lets `config.worktree` be read (`extensions.worktreeConfig`). Understands as much of the
 * format as that takes.
 */
export function namedFiles(config: string): { hooks: string[]; includes: string[]; worktreeConfig: boolean } {
  const hooks: string[] = [];
  const includes: string[] = [];
  let worktreeConfig = false;
  let section = "";
  for (const raw of config.replaceAll("\\\n", "").split("\n")) {
    let line = raw.trim();
    const header = /^\[\s*([A-Za-z0-9.-]+)(?:\s+"((?:[^"\\]|\\.)*)")?\s*\]\s*/.exec(line);
    if (header !== null) {
      section = (header[1] ?? "").toLowerCase();
      line = line.slice(header[0].length);
    }
    const pair = /^([A-Za-z][A-Za-z0-9-]*)\s*(?:=\s*(.*))?$/.exec(line);
    if (pair === null) continue;
    const name = (pair[1] ?? "").toLowerCase();
    const value = unquote(pair[2] ?? "true");
    if (value === "") continue;
    if (section === "extensions" && name === "worktreeconfig") worktreeConfig = !/^(?:false|no|off|0)$/i.test(value);
    if (section === "core" && name === "hookspath") hooks.push(value);
    if ((section === "include" || section.startsWith("includeif")) && name === "path") includes.push(value);
  }
  return { hooks, includes, worktreeConfig };
}

function unquote(text: string): string {
  let value = "";
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const character = text.charAt(at);
    if (character === "\\") value += text.charAt(++at);
    else if (character === '"') quoted = !quoted;
    else if (!quoted && (character === "#" || character === ";")) break;
    else value += character;
  }
  return value.trim();
}
