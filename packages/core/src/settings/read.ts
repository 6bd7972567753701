import { readFileSync } from "node:fs";

import { parse } from "smol-toml";

import { GuildError } from "../errors.ts";
import { describeSettings, type Settings, settingsSchema } from "./schema.ts";

/** One effective setting, as `guild config show` prints it. */
export interface EffectiveSetting {
  key: string;
  /** As in the file; secrets masked. */
  value: string;
  /** `default`, the file's path, or `environment`. */
  source: string;
  description: string;
}

export interface ReadSettings {
  settings: Settings;
  effective: EffectiveSetting[];
}

/**
 * Reads `settings.toml` and the variables that override it (`GUILD_<SECTION>_<KEY>`, `DATABASE_URL`). A missing file is an empty one.
 * Throws `invalid_argument` with file, key and the nearest known key for whatever is wrong in it.
 */
export function readSettings(file: string, env: Readonly<Record<string, string | undefined>>): ReadSettings {
  const text = readText(file);
  const fromFile = parseToml(text, file);
  const merged: Record<string, unknown> = structuredClone(fromFile);
  const fromEnvironment = new Set<string>();
  for (const { key, variable } of describeSettings()) {
    const value = env[variable];
    if (value === undefined || value === "" || key.endsWith(".*")) continue;
    const [section = "", name = ""] = key.split(".");
    const target = (merged[section] ??= {});
    if (typeof target !== "object" || target === null) continue;
    (target as Record<string, unknown>)[name] = literal(value, section, name);
    fromEnvironment.add(key);
  }
  const parsed = settingsSchema.safeParse(merged);
  if (!parsed.success) throw explain(parsed.error.issues[0], file);
  return { settings: parsed.data, effective: listEffective(parsed.data, fromFile, fromEnvironment, file) };
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return "";
    throw new GuildError("permission_denied", "the settings cannot be read", {
      subject: file,
      remedy: "check the file's owner and mode",
      cause: error,
    });
  }
}

function parseToml(text: string, file: string): Record<string, unknown> {
  try {
    return parse(text);
  } catch (error) {
    const line = error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error);
    throw new GuildError("invalid_argument", `the settings are no valid TOML: ${line}`, {
      subject: file,
      remedy: "correct the line",
      cause: error,
    });
  }
}

/** Variables are text; the schema says what they stand for. A list is a TOML array, or has one entry a line. */
function literal(value: string, section: string, name: string): unknown {
  const sample = (settingsSchema.parse({}) as Record<string, Record<string, unknown>>)[section]?.[name];
  if (typeof sample === "number" && value.trim() !== "" && Number.isFinite(Number(value))) return Number(value);
  if (Array.isArray(sample)) return listed(value);
  if (typeof sample === "boolean" && (value === "true" || value === "false")) return value === "true";
  return value;
}

function listed(value: string): unknown {
  const text = value.trim();
  if (!text.startsWith("[")) return text.split("\n").flatMap((line) => (line.trim() === "" ? [] : [line.trim()]));
  try {
    return parse(`list = ${text}`)["list"];
  } catch {
    return value; // no list: the schema says so, and of what
  }
}

interface Issue {
  code?: string;
  path: PropertyKey[];
  message: string;
  keys?: string[];
}

function explain(issue: Issue | undefined, file: string): GuildError {
  const path = (issue?.path ?? []).map(String);
  const unknown = issue?.code === "unrecognized_keys" ? issue.keys?.[0] : undefined;
  if (unknown !== undefined) {
    const key = [...path, unknown].join(".");
    return new GuildError("invalid_argument", `there is no setting ${key}`, { subject: file, remedy: `did you mean ${nearestKey(key)}?` });
  }
  return new GuildError("invalid_argument", `the setting ${path.join(".")} is wrong: ${issue?.message ?? "invalid"}`, {
    subject: file,
    remedy: "guild config show lists what each setting takes",
  });
}

function listEffective(
  settings: Settings,
  fromFile: Record<string, unknown>,
  fromEnvironment: Set<string>,
  file: string,
): EffectiveSetting[] {
  const values = settings as Record<string, Record<string, unknown>>;
  return describeSettings().flatMap(({ key, description, secret }) => {
    const [section = "", name = ""] = key.split(".");
    const show = (value: unknown): string => (secret && value !== "" ? "********" : String(value));
    if (name === "*") {
      return Object.entries(values[section] ?? {}).map(([own, value]) => ({
        key: `${section}.${own}`,
        value: show(value),
        source: file,
        description,
      }));
    }
    const inFile = (fromFile[section] as Record<string, unknown> | undefined)?.[name] !== undefined;
    const source = fromEnvironment.has(key) ? "environment" : inFile ? file : "default";
    return [{ key, value: show(values[section]?.[name]), source, description }];
  });
}

/** The known key with the smallest edit distance. */
function nearestKey(key: string): string {
  const sections = Object.keys(settingsSchema.shape);
  const known = key.includes(".") ? describeSettings().map((setting) => setting.key) : sections;
  return known.reduce((best, candidate) => (distance(key, candidate) < distance(key, best) ? candidate : best));
}

function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substitution, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
