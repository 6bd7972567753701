import { matchesHost, matchesPath, type OutgoingRequest } from "../network/rules.ts";

/** A secret's use by one session: where its value may go, and nowhere else. */
export interface SecretGrant {
  /** Name in the store. */
  secret: string;
  /** What the sandbox sees in its place, in variables and files: `guildhall-secret-<random>`. */
  placeholder: string;
  /** `api.example.com` or `*.example.com`. */
  host: string;
  /** Upper case; default all. */
  methods?: readonly string[];
  /** Paths; `*` stands for any text. Default all. */
  paths?: readonly string[];
}

export type Substitution =
  /** Headers that change; empty: none held a placeholder. */
  | { allowed: true; headers: Record<string, string | string[]>; used: string[] }
  /** A placeholder on its way to where its grant does not lead. */
  | { allowed: false; reason: string };

/**
 * Puts real values in place of placeholders in a request's headers, inside `Basic` credentials too. Pure. A placeholder that is sent to a
 * place of no grant refuses the request: an agent that was talked into sending it elsewhere is found out, and the value never leaves.
 */
export function substitute(
  grants: readonly SecretGrant[],
  value: (secret: string) => string | undefined,
  request: OutgoingRequest,
  headers: Readonly<Record<string, string | string[] | undefined>>,
): Substitution {
  const changed: Record<string, string | string[]> = {};
  const used = new Set<string>();
  for (const [name, header] of Object.entries(headers)) {
    if (header === undefined) continue;
    const lines = typeof header === "string" ? [header] : header;
    const results = lines.map((line) => substituteLine(line, grants, value, request));
    const refused = results.find((result) => typeof result === "string");
    if (typeof refused === "string") return { allowed: false, reason: refused };
    const settled = results.filter((result) => typeof result !== "string");
    if (!settled.some((result) => result.used.length > 0)) continue;
    for (const secret of settled.flatMap((result) => result.used)) used.add(secret);
    const texts = settled.map((result) => result.line);
    changed[name] = typeof header === "string" ? (texts[0] ?? "") : texts;
  }
  return { allowed: true, headers: changed, used: [...used] };
}

/** The new line; a string says why not. */
function substituteLine(
  line: string,
  grants: readonly SecretGrant[],
  value: (secret: string) => string | undefined,
  request: OutgoingRequest,
): { line: string; used: string[] } | string {
  const basic = /^basic\s+([A-Za-z0-9+/=_-]+)$/i.exec(line);
  const plain = basic?.[1] === undefined ? line : Buffer.from(basic[1], "base64").toString("utf8");
  const present = grants.filter((grant) => plain.includes(grant.placeholder));
  if (present.length === 0) return { line, used: [] };
  let text = plain;
  for (const placeholder of new Set(present.map((grant) => grant.placeholder))) {
    const own = present.filter((grant) => grant.placeholder === placeholder);
    const grant = own.find((candidate) => reaches(candidate, request));
    const secret = own[0]?.secret ?? "";
    if (grant === undefined) return `the secret ${secret} is not granted for ${request.method} ${request.host}${request.path}`;
    const real = value(grant.secret);
    if (real === undefined) return `the secret ${secret} is not in the store`;
    text = text.replaceAll(placeholder, () => real);
  }
  if (/[\r\n\0]/.test(text)) return "a secret with line breaks cannot go into a header";
  const replaced = basic === null ? text : `Basic ${Buffer.from(text, "utf8").toString("base64")}`;
  return { line: replaced, used: present.map((grant) => grant.secret) };
}

/** Secrets travel by TLS only. */
function reaches(grant: SecretGrant, request: OutgoingRequest): boolean {
  return (
    request.secure &&
    matchesHost(grant.host, request.host) &&
    (grant.methods?.includes(request.method) ?? true) &&
    (grant.paths?.some((path) => matchesPath(path, request.path)) ?? true)
  );
}
