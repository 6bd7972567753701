import { GuildError } from "@guildhall/core";

/** What a later file takes away, or puts in the place of all that was there. */
const RESET = "\u0000reset";
const OVERRIDE = "\u0000override";

export type Table = Record<string, unknown>;

/** A Compose file as plain data, with marks for what takes its place in others. Throws `invalid_argument`. */
export async function parseCompose(path: string, text: string): Promise<unknown> {
  const { parseDocument, isNode, visit } = await import("yaml");
  const document = parseDocument(text, { merge: true, logLevel: "error" });
  const [error] = document.errors;
  if (error !== undefined) throw noYaml(path, error);
  visit(document, {
    Pair(_, pair) {
      if (!isNode(pair.value)) return;
      const { tag } = pair.value;
      if (tag !== "!reset" && tag !== "!override") return;
      delete pair.value.tag;
      pair.value = document.createNode(tag === "!reset" ? RESET : { [OVERRIDE]: pair.value });
    },
  });
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (cause) {
    throw noYaml(path, cause);
  }
}

function noYaml(path: string, error: unknown): GuildError {
  return new GuildError("invalid_argument", `${path} is no YAML: ${error instanceof Error ? (error.message.split("\n")[0] ?? "") : ""}`);
}

/** Lists of these hold for themselves: a later one takes the place of an earlier. */
const REPLACED = new Set(["command", "entrypoint", "test"]);
/** Lists of `NAME=value` (or of names) that stand for tables. */
const TABLES = new Set(["environment", "args", "labels", "depends_on", "extra_hosts", "networks"]);

/**
 * A Compose file under a later one, as the specification has it under "Merge": tables together, lists one after the other, but for commands, which are
 * replaced, and for volumes, of which the later has a place.
 */
export function mergeCompose(under: unknown, over: unknown, key = ""): unknown {
  if (isTable(over) && OVERRIDE in over) return bare(over[OVERRIDE]);
  if (over === undefined) return under;
  if (under === undefined || under === null || REPLACED.has(key)) return bare(over);
  if (TABLES.has(key) && (isTable(under) || isTable(over) || key !== "networks")) return mergeTables(asTable(under), asTable(over));
  if (isTable(under) && isTable(over)) return mergeTables(under, over);
  if (!Array.isArray(under) || !Array.isArray(over)) return bare(over);
  if (key !== "volumes") return [...(under as unknown[]), ...(over as unknown[])];
  const places = new Set(over.map(targetOf));
  return [...(under as unknown[]).filter((one) => !places.has(targetOf(one))), ...(over as unknown[])];
}

function mergeTables(under: Table, over: Table): Table {
  const merged: Table = { ...under };
  for (const [key, value] of Object.entries(over)) {
    if (value === RESET) delete merged[key];
    else merged[key] = mergeCompose(under[key], value, key);
  }
  return merged;
}

/** Without the marks: there was nothing to take away. */
function bare(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(bare);
  if (!isTable(value)) return value;
  if (OVERRIDE in value) return bare(value[OVERRIDE]);
  return Object.fromEntries(Object.entries(value).flatMap(([key, one]) => (one === RESET ? [] : [[key, bare(one)]])));
}

/** A table, or a list of `NAME=value` for one; of anything else, none. */
export function asTable(value: unknown): Table {
  if (isTable(value)) return value;
  if (!Array.isArray(value)) return {};
  return Object.fromEntries(
    value
      .filter((one): one is string => typeof one === "string")
      .map((one) => {
        const at = one.indexOf("=");
        return at === -1 ? [one, null] : [one.slice(0, at), one.slice(at + 1)];
      }),
  );
}

/** Where a volume stands inside; the long form names it, the short one has it after the first colon. */
function targetOf(volume: unknown): unknown {
  if (isTable(volume)) return volume["target"];
  if (typeof volume !== "string") return undefined;
  const [first, second] = volume.split(":");
  return second ?? first;
}

export function isTable(value: unknown): value is Table {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
