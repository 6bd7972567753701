import { GuildError } from "@guildhall/core";

/** Variables of a Compose project: those of its `.env`. Nobody's own environment is read. */
export type ComposeVariables = Readonly<Record<string, string>>;

const NAME = /^[A-Za-z_]\w*/;

/**
 * Compose's own variables in a text: `$NAME`, `${NAME}`, `${NAME:-other}`, `${NAME:+instead}`, `${NAME:?why}`; without the colon the empty one counts
 * as set; `$$` is a dollar. Throws `invalid_argument` for one that must be set and is not. See the Compose specification, "Interpolation".
 */
export function interpolated(text: string, variables: ComposeVariables): string {
  let result = "";
  for (let at = 0; at < text.length;) {
    const next = text.indexOf("$", at);
    if (next === -1) return result + text.slice(at);
    result += text.slice(at, next);
    const rest = text.slice(next + 1);
    const [name = ""] = NAME.exec(rest) ?? [];
    const end = rest.startsWith("{") ? closing(rest) : -1;
    if (rest.startsWith("$")) {
      result += "$";
      at = next + 2;
    } else if (name !== "") {
      result += variables[name] ?? "";
      at = next + 1 + name.length;
    } else if (end > 0) {
      result += expanded(rest.slice(1, end), variables);
      at = next + 2 + end;
    } else {
      result += "$";
      at = next + 1;
    }
  }
  return result;
}

/** Place of the brace that closes the one at the beginning; -1: none does. */
function closing(text: string): number {
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    if (text[at] === "{") depth += 1;
    if (text[at] === "}" && --depth === 0) return at;
  }
  return -1;
}

function expanded(inside: string, variables: ComposeVariables): string {
  const [name = ""] = NAME.exec(inside) ?? [];
  const [, colon = "", how = "", other = ""] = /^(:?)([-+?]?)(.*)$/s.exec(inside.slice(name.length)) ?? [];
  const value = variables[name];
  const isSet = value !== undefined && (colon === "" || value !== "");
  if (how === "-") return isSet ? value : interpolated(other, variables);
  if (how === "+") return isSet ? interpolated(other, variables) : "";
  if (how === "?" && !isSet) {
    throw new GuildError("invalid_argument", `the Compose file wants ${name} to be set${other === "" ? "" : `: ${other.slice(0, 120)}`}`, {
      remedy: "set it in the file .env beside it",
    });
  }
  return value ?? "";
}

/** `NAME=value` lines as `.env` and `env_file` have them: comments, `export`, quotes; without `raw` also variables, of `known` and of the lines before. */
export function readVariables(text: string, known: ComposeVariables, raw = false): Record<string, string> {
  const found: Record<string, string> = {};
  for (const line of text.replaceAll("\r\n", "\n").match(LINE) ?? []) {
    const [, name, given = ""] = /^\s*(?:export\s+)?([A-Za-z_][\w.-]*)\s*[=:]\s?([\s\S]*)$/.exec(line) ?? [];
    if (name === undefined || line.trimStart().startsWith("#")) continue;
    found[name] = raw ? given : valueOf(given.trim(), { ...found, ...known });
  }
  return found;
}

/** A line, or several where a quoted value has more. */
const LINE = /^\s*(?:export\s+)?[\w.-]+\s*[=:][ \t]*(?:"(?:\\[\s\S]|[^"\\])*"|'[^']*')[^\n]*|^[^\n]+/gm;

function valueOf(given: string, variables: ComposeVariables): string {
  const [, single] = /^'([^']*)'/.exec(given) ?? [];
  if (single !== undefined) return single;
  const [, double] = /^"((?:\\[\s\S]|[^"\\])*)"/.exec(given) ?? [];
  if (double !== undefined) {
    const escapes: Record<string, string> = { n: "\n", r: "\r", t: "\t" };
    return interpolated(double, variables).replaceAll(/\\([\s\S])/g, (_, one: string) => escapes[one] ?? one);
  }
  return interpolated(given.replace(/\s+#.*$/s, ""), variables);
}

/** `1m30s`, in seconds. */
export function durationOf(text: string | undefined): number | undefined {
  const units: Record<string, number> = { us: 1e-6, ms: 1e-3, s: 1, m: 60, h: 3600 };
  const parts = [...(text ?? "").matchAll(/(\d+(?:\.\d+)?)(us|ms|s|m|h)/g)];
  return parts.length === 0 ? undefined : parts.reduce((sum, [, value, unit = "s"]) => sum + Number(value) * (units[unit] ?? 1), 0);
}

/** The words of a line, as a shell would take them. */
export function splitWords(line: string): string[] {
  const words = line.match(/(?:[^\s"'\\]|\\.|"(?:\\.|[^"\\])*"|'[^']*')+/g) ?? [];
  return words.map((word) =>
    word.replaceAll(/"((?:\\.|[^"\\])*)"|'([^']*)'|\\(.)/g, (_, double?: string, single?: string, bare?: string) =>
      double === undefined ? (single ?? bare ?? "") : double.replaceAll(/\\(["\\$`])/g, "$1"),
    ),
  );
}
