import { GuildError, type Sandbox } from "@guildhall/core";

/** What each variable holds for programs in the sandbox; secrets are placeholders there. Missing ones are left out. */
export async function sandboxVariables<Name extends string>(
  sandbox: Sandbox,
  names: readonly Name[],
): Promise<Partial<Record<Name, string>>> {
  for (const name of names) {
    if (!/^[A-Za-z_]\w*$/.test(name)) throw new GuildError("invalid_argument", `not the name of a variable: ${JSON.stringify(name)}`);
  }
  const script = names.map((name) => `printf '%s\\0' "\${${name}-}"`).join(";");
  const execution = await sandbox.exec({ argv: ["bash", "--norc", "--noprofile", "-c", script], cwd: "/" });
  const parts: Uint8Array[] = [];
  for await (const { stream, bytes } of execution.output) if (stream === "stdout") parts.push(Uint8Array.from(bytes));
  await execution.close();
  const values = Buffer.concat(parts).toString("utf8").split("\0");
  const known: Partial<Record<Name, string>> = {};
  for (const [index, name] of names.entries()) {
    const value = values[index];
    if (value !== undefined && value !== "") known[name] = value;
  }
  return known;
}

/** `text` with every `${NAME}` replaced by what the sandbox holds under that name. Throws `not_found` for one that it does not know. */
export async function expandVariables(sandbox: Sandbox, text: string): Promise<string> {
  const names = [...new Set([...text.matchAll(/\$\{([A-Za-z_]\w*)\}/g)].flatMap(([, name]) => name ?? []))];
  if (names.length === 0) return text;
  const values = await sandboxVariables(sandbox, names);
  return text.replaceAll(/\$\{([A-Za-z_]\w*)\}/g, (_, name: string) => {
    const value = values[name];
    if (value === undefined) {
      throw new GuildError("not_found", `the sandbox knows no variable ${name}`, {
        subject: name,
        remedy: "guild secret set NAME, then guild secret grant it to the server's host",
      });
    }
    return value;
  });
}
