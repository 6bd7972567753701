import { lookup, Resolver } from "node:dns/promises";

import { GuildError } from "@guildhall/core";

import { whyNotPublic } from "./address.ts";
import { type Layers, mayResolve, type NetworkVerdict } from "./rules.ts";

/** What a sandbox may ask of the names that its policy allows. */
export const RECORD_TYPES = ["A", "AAAA", "CNAME", "MX", "NS", "SOA", "SRV", "TXT", "CAA"] as const;
export type RecordType = (typeof RECORD_TYPES)[number];

export interface NameAnswer {
  name: string;
  type: string;
  records: Array<{ value: string; ttl?: number; remark?: string }>;
  /** Code of a resolver's error (`ENOTFOUND`, `ENODATA`, `ETIMEOUT`, …); empty: none. */
  error: string;
  ms: number;
}

/** Looks records up; throws an error with a resolver's `code`. */
export type RecordLookup = (name: string, type: RecordType) => Promise<NameAnswer["records"]>;

/**
 * Answers the proxy's own question about names (`GET http://dns.guildhall/?name=example.com&type=MX`): for names that a rule allows in every
 * layer, since a name that is looked up tells the world something too.
 */
export async function answerNameQuestion(
  query: URLSearchParams,
  layers: Layers,
  find: RecordLookup,
): Promise<{ name: string; type: string; verdict: NetworkVerdict; answer?: NameAnswer }> {
  const name = (query.get("name") ?? "").toLowerCase().replace(/\.$/, "");
  const asked = (query.get("type") ?? "A").toUpperCase();
  const type = RECORD_TYPES.find((known) => known === asked);
  const refused = (reason: string) => ({ name, type: asked, verdict: { allowed: false, rule: "", reason } });
  if (type === undefined) return refused(`there are no records of type ${asked} here`);
  if (!/^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$/.test(name))
    return refused("no name of a host");
  const verdict = mayResolve(layers, name);
  if (!verdict.allowed) return { name, type, verdict };
  const began = performance.now();
  const ms = (): number => Math.round((performance.now() - began) * 10) / 10;
  try {
    const records = (await find(name, type)).map((record) => withRemark(type, record));
    return { name, type, verdict, answer: { name, type, records, error: "", ms: ms() } };
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : GuildError.from(error).message;
    return { name, type, verdict, answer: { name, type, records: [], error: code, ms: ms() } };
  }
}

/** Addresses as connections get them, by the system's own ways (its hosts file included); everything else from its name servers. */
export const systemRecords: RecordLookup = async (name, type) => {
  const resolver = new Resolver({ timeout: 3_000, tries: 2 });
  switch (type) {
    case "A":
    case "AAAA": {
      const family = type === "A" ? 4 : 6;
      const addresses = await lookup(name, { all: true, family });
      return addresses.map(({ address }) => ({ value: address }));
    }
    case "CNAME":
    case "NS":
      return (await resolver.resolve(name, type)).map((value) => ({ value }));
    case "MX":
      return (await resolver.resolveMx(name)).map(({ priority, exchange }) => ({ value: `${priority} ${exchange}` }));
    case "TXT":
      return (await resolver.resolveTxt(name)).map((parts) => ({ value: parts.join("") }));
    case "SRV":
      return (await resolver.resolveSrv(name)).map((one) => ({ value: `${one.priority} ${one.weight} ${one.port} ${one.name}` }));
    case "SOA": {
      const one = await resolver.resolveSoa(name);
      return [{ value: `${one.nsname} ${one.hostmaster} ${one.serial}`, ttl: one.minttl }];
    }
    case "CAA":
      return (await resolver.resolveCaa(name)).map(({ critical, ...rest }) => ({ value: `${critical} ${JSON.stringify(rest)}` }));
    default:
      return type satisfies never;
  }
};

function withRemark(type: RecordType, record: NameAnswer["records"][number]): NameAnswer["records"][number] {
  const why = type === "A" || type === "AAAA" ? whyNotPublic(record.value) : undefined;
  return why === undefined ? record : { ...record, remark: `${why}: never reached from here` };
}
