import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

import { GuildError } from "@guildhall/core";

import { Data } from "../project/read-data.ts";
import { compare, numbersOf } from "../tools/version-range.ts";
import type { LockedPackage } from "./locked-packages.ts";

/** A known weakness of a package. */
export interface Finding {
  package: LockedPackage;
  /** `GHSA-…`, `CVE-…`. */
  id: string;
  summary: string;
  severity: string;
  /** First version without it, where one is known. */
  fixed: string;
}

/** Where advisories come from. */
export interface AdvisorySource {
  /** Throws `unavailable` when it cannot be asked: never an empty list instead. */
  find(packages: readonly LockedPackage[]): Promise<Finding[]>;
}

/** Records of the Open Source Vulnerability format (OSV schema 1.6), one JSON file each, from a directory that a person keeps up to date. */
export function osvDirectory(directory: string): AdvisorySource {
  return {
    async find(packages) {
      const wanted = new Map<string, LockedPackage[]>();
      for (const one of packages) wanted.set(`${one.ecosystem} ${one.name}`, [...(wanted.get(`${one.ecosystem} ${one.name}`) ?? []), one]);
      const findings: Finding[] = [];
      for (const name of await namesIn(directory)) {
        const record = new Data(await readJson(join(directory, name)));
        if (record.at("withdrawn").present) continue;
        for (const affected of record.at("affected").items) {
          const key = `${affected.at("package", "ecosystem").text ?? ""} ${affected.at("package", "name").text ?? ""}`;
          for (const one of wanted.get(key) ?? []) if (isAffected(affected, one.version)) findings.push(findingOf(record, affected, one));
        }
      }
      return findings;
    },
  };
}

function isAffected(affected: Data, version: string): boolean {
  if (affected.at("versions").items.some((one) => one.text === version)) return true;
  const have = numbersOf(version);
  if (have === undefined) return false;
  return affected.at("ranges").items.some((range) => {
    if (range.at("type").text === "GIT") return false;
    let inside = false;
    for (const event of range.at("events").items) {
      const [introduced, fixed, last] = [event.at("introduced").text, event.at("fixed").text, event.at("last_affected").text];
      if (introduced !== undefined && (introduced === "0" || compare(have, numbersOf(introduced) ?? []) >= 0)) inside = true;
      if (fixed !== undefined && compare(have, numbersOf(fixed) ?? []) >= 0) inside = false;
      if (last !== undefined && compare(have, numbersOf(last) ?? []) > 0) inside = false;
    }
    return inside;
  });
}

function findingOf(record: Data, affected: Data, one: LockedPackage): Finding {
  const fixes = affected.at("ranges").items.flatMap((range) => range.at("events").items.flatMap((event) => event.at("fixed").text ?? []));
  const have = numbersOf(one.version) ?? [];
  return {
    package: one,
    id: record.at("id").text ?? "",
    summary: (record.at("summary").text ?? record.at("details").text ?? "").split("\n")[0]?.slice(0, 200) ?? "",
    severity: (
      record.at("database_specific", "severity").text ??
      record.at("severity").items[0]?.at("score").text ??
      "unknown"
    ).toLowerCase(),
    fixed: fixes.find((fix) => compare(numbersOf(fix) ?? [], have) > 0) ?? "",
  };
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return (await readdir(directory)).filter((name) => name.endsWith(".json"));
  } catch (error) {
    throw new GuildError("unavailable", "there are no advisories to compare with", {
      subject: directory,
      remedy: "put OSV records there, one JSON file each, or name their directory with the setting environment.advisories",
      cause: error,
    });
  }
}

async function readJson(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, "utf8"));
  } catch (error) {
    throw new GuildError("unavailable", "an advisory cannot be read", { subject: file, remedy: "fetch it again", cause: error });
  }
}
