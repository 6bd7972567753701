import { createHash } from "node:crypto";
import { gunzipSync } from "node:zlib";

import { GuildError } from "@guildhall/core";

import { Data } from "../project/read-data.ts";

/** Files of a feature, as text. */
export type FeatureFiles = ReadonlyArray<{ path: string; text: string }>;

/** Where features come from that do not lie in the project. */
export interface FeatureRegistry {
  /** Undefined: that registry is not asked. Throws `not_found`, `unavailable`, `permission_denied`, `invalid_argument`. */
  files(id: string): Promise<FeatureFiles | undefined>;
}

const LARGEST = 10 * 2 ** 20;
const LARGEST_UNPACKED = 4 * LARGEST;
const PATIENCE_MS = 30_000;
const MANIFEST = "application/vnd.oci.image.manifest.v1+json";

/**
 * Features of registries that speak the OCI distribution API 1.1, by plain HTTP on loopback alone. Only registries that the operator names are
 * asked, without credentials; what they send is checked against its digest. A feature is fetched once.
 */
export function ociFeatures(hosts: () => readonly string[]): FeatureRegistry {
  const fetched = new Map<string, Promise<FeatureFiles>>();
  return {
    async files(id) {
      const [, host = "", name = "", tag, digest] =
        /^([\w.-]+(?::\d+)?)\/([a-z0-9][\w./-]*?)(?::([\w.-]+)|@(sha256:[0-9a-f]{64}))?$/.exec(id) ?? [];
      if (host === "" || !hosts().includes(host)) return undefined;
      const known = fetched.get(id) ?? fetchFeature(host, name, digest ?? tag ?? "latest");
      fetched.set(id, known);
      known.catch(() => fetched.delete(id));
      return await known;
    },
  };
}

async function fetchFeature(host: string, name: string, reference: string): Promise<FeatureFiles> {
  const base = `${isLoopback(host) ? "http" : "https"}://${host}/v2/${name}`;
  const bearer: Bearer = { token: "", asked: false };
  const manifestBytes = await get(`${base}/manifests/${reference}`, { accept: MANIFEST }, bearer);
  if (reference.startsWith("sha256:")) checkDigest(manifestBytes, reference, `${host}/${name}`);
  const manifest = readJson(manifestBytes, `${host}/${name}`);
  const [layer] = manifest.at("layers").items;
  const digest = layer?.at("digest").text ?? "";
  const size = Number(layer?.at("size").value ?? 0);
  if (!/^sha256:[0-9a-f]{64}$/.test(digest) || !(size <= LARGEST)) {
    throw new GuildError("invalid_argument", "it is no feature, or a feature that is too large", { subject: `${host}/${name}` });
  }
  const bytes = await get(`${base}/blobs/${digest}`, {}, bearer);
  checkDigest(bytes, digest, `${host}/${name}`);
  return untar(unpacked(bytes, `${host}/${name}`), `${host}/${name}`);
}

/** What opens one repository to anybody, once it was asked for. */
interface Bearer {
  token: string;
  asked: boolean;
}

/** What a registry sends; with a token for anybody where it wants one. */
async function get(url: string, headers: Record<string, string>, bearer: Bearer): Promise<Buffer> {
  const ask = async (): Promise<Response> => {
    const own = bearer.token === "" ? {} : { authorization: `Bearer ${bearer.token}` };
    try {
      return await fetch(url, { headers: { ...headers, ...own }, signal: AbortSignal.timeout(PATIENCE_MS) });
    } catch (error) {
      throw new GuildError("unavailable", "the registry cannot be reached", { subject: url, cause: error });
    }
  };
  let response = await ask();
  if (response.status === 401 && !bearer.asked) {
    bearer.asked = true;
    bearer.token = await tokenFor(response.headers.get("www-authenticate") ?? "", url);
    response = await ask();
  }
  if (response.status === 404) throw new GuildError("not_found", "the registry has no such feature", { subject: url });
  if (response.status === 401 || response.status === 403)
    throw new GuildError("permission_denied", "the registry refuses it", { subject: url });
  if (!response.ok) throw new GuildError("unavailable", `the registry answered ${response.status}`, { subject: url });
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    const bytes = chunk as Uint8Array;
    length += bytes.length;
    if (length > LARGEST) throw new GuildError("invalid_argument", "the registry sends more than a feature may be", { subject: url });
    chunks.push(bytes);
  }
  return Buffer.concat(chunks);
}

async function tokenFor(challenge: string, url: string): Promise<string> {
  const part = (name: string): string => new RegExp(`${name}="([^"]*)"`).exec(challenge)?.[1] ?? "";
  const realm = part("realm");
  const safe = realm.startsWith("https://") || (URL.canParse(realm) && isLoopback(new URL(realm).host) && isLoopback(new URL(url).host));
  if (!safe) throw new GuildError("permission_denied", "the registry wants credentials", { subject: url });
  const query = new URLSearchParams({ service: part("service"), scope: part("scope") });
  const answer = await get(`${realm}?${query.toString()}`, {}, { token: "", asked: true });
  const data = readJson(answer, realm);
  return data.at("token").text ?? data.at("access_token").text ?? "";
}

function isLoopback(host: string): boolean {
  return /^(127\.\d+\.\d+\.\d+|localhost)(:\d+)?$/.test(host);
}

function checkDigest(bytes: Buffer, digest: string, subject: string): void {
  if (`sha256:${createHash("sha256").update(bytes).digest("hex")}` === digest) return;
  throw new GuildError("invalid_argument", "the registry sent something else than its digest says", { subject });
}

function readJson(bytes: Buffer, subject: string): Data {
  try {
    return new Data(JSON.parse(bytes.toString("utf8")));
  } catch (error) {
    throw new GuildError("invalid_argument", "the registry sent no JSON", { subject, cause: error });
  }
}

function unpacked(bytes: Buffer, subject: string): Buffer {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  try {
    return gunzipSync(bytes, { maxOutputLength: LARGEST_UNPACKED });
  } catch (error) {
    throw new GuildError("invalid_argument", "the feature cannot be unpacked, or is too large", { subject, cause: error });
  }
}

/** Plain files of a POSIX archive; links and devices are left out, and names that lead out of it refused. */
function untar(archive: Buffer, subject: string): FeatureFiles {
  const files: Array<{ path: string; text: string }> = [];
  const text = (at: number, length: number): string => archive.toString("utf8", at, at + length).replace(/\0[\s\S]*$/, "");
  for (let at = 0; at + 512 <= archive.length;) {
    const name = text(at, 100);
    if (name === "") break;
    const prefix = text(at + 257, 5) === "ustar" ? text(at + 345, 155) : "";
    const size = Number.parseInt(text(at + 124, 12).trim() || "0", 8);
    const kind = text(at + 156, 1);
    const path = `${prefix === "" ? "" : `${prefix}/`}${name}`.replace(/^(\.\/)+/, "");
    if (!Number.isInteger(size) || path.startsWith("/") || path.split("/").includes("..")) {
      throw new GuildError("invalid_argument", "the feature's archive is broken", { subject });
    }
    if ((kind === "" || kind === "0") && path !== "") files.push({ path, text: archive.toString("utf8", at + 512, at + 512 + size) });
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return files;
}
