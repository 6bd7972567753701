import type { Environment } from "@guildhall/core";

/** One line each, for people and agents; empty: they are the same. */
export function diffEnvironments(from: Environment, to: Environment): string[] {
  const lines: string[] = [];
  if (from.source !== to.source || from.kind !== to.kind) lines.push(`source: ${from.source} (${from.kind}) → ${to.source} (${to.kind})`);
  const [before, after] = [byName(from), byName(to)];
  for (const name of [...new Set([...before.keys(), ...after.keys()])].toSorted()) {
    const [old, now] = [before.get(name), after.get(name)];
    if (old === now) continue;
    if (old === undefined) lines.push(`tool added: ${name} ${now ?? ""}`.trimEnd());
    else if (now === undefined) lines.push(`tool gone: ${name} ${old}`.trimEnd());
    else lines.push(`tool: ${name} ${old || "?"} → ${now || "?"}`);
  }
  for (const name of [...new Set([...Object.keys(from.variables), ...Object.keys(to.variables)])].toSorted()) {
    const [old, now] = [from.variables[name], to.variables[name]];
    if (old === now) continue;
    if (old === undefined) lines.push(`variable added: ${name}`);
    else if (now === undefined) lines.push(`variable gone: ${name}`);
    else lines.push(`variable changed: ${name}`);
  }
  if (from.path.join(":") !== to.path.join(":")) lines.push("search path changed");
  if (from.shellHook !== to.shellHook) lines.push("shell hook changed");
  if (from.image !== to.image) lines.push("image changed");
  if (JSON.stringify(from.setup ?? []) !== JSON.stringify(to.setup ?? [])) lines.push("what runs when it begins changed");
  if (JSON.stringify(from.services ?? []) !== JSON.stringify(to.services ?? [])) lines.push("services beside it changed");
  if (JSON.stringify(from.volumes ?? []) !== JSON.stringify(to.volumes ?? [])) lines.push("volumes shared with them changed");
  if (from.pure !== to.pure) lines.push(to.pure ? "the machine's own programs are hidden now" : "the machine's own programs are there now");
  return lines;
}

function byName({ tools }: Environment): Map<string, string> {
  return new Map(tools.map(({ name, version }) => [name, version]));
}
