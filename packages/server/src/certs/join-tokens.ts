import { createHash, randomBytes, X509Certificate } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { GuildError } from "@guildhall/core";
import { z } from "zod";

/** What a join token is good for. */
export interface JoinGrant {
  /** Name of the service, as it stands in its certificate. */
  name: string;
  hosts: string[];
  /** Of the certificate. */
  days: number;
}

/**
 * A token with which one service gets its certificate, once, in this time: a secret, and the fingerprint by which the joining side knows the
 * authority. The authority keeps no more than the secret's hash. Throws `not_found` without an authority.
 */
export function makeJoinToken(authority: string, grant: JoinGrant, minutes: number, now: Date): string {
  const fingerprint = fingerprintOf(readAuthority(authority));
  const secret = randomBytes(24).toString("base64url");
  const directory = join(authority, FOLDER);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const expires = new Date(now.getTime() + minutes * 60_000).toISOString();
  writeFileSync(join(directory, hashOf(secret)), JSON.stringify({ ...grant, expires }), { mode: 0o600, flag: "wx" });
  return `${secret}.${fingerprint}`;
}

/** Takes a token's secret for good. Throws `unauthenticated` for one that was never made, was shown before or is too old. */
export function redeemJoinToken(authority: string, token: string, now: Date): JoinGrant {
  const [secret = ""] = token.split(".");
  const file = join(authority, FOLDER, hashOf(secret));
  let text: string;
  try {
    text = readFileSync(file, "utf8");
    // Of several that show it at once one can remove it.
    rmSync(file);
  } catch (error) {
    throw refused("the join token is not known: it was never made here, or has been shown already", error);
  }
  const { expires, ...grant } = grantSchema.parse(JSON.parse(text));
  if (new Date(expires) < now) throw refused(`the join token was good until ${expires}`);
  return grant;
}

/** PEM of an authority's certificate. */
export function readAuthority(authority: string): string {
  try {
    return readFileSync(join(authority, "ca.pem"), "utf8");
  } catch (error) {
    throw new GuildError("not_found", "there is no authority", { subject: authority, remedy: "guild certs init makes one", cause: error });
  }
}

export function fingerprintOf(pem: string): string {
  return createHash("sha256").update(new X509Certificate(pem).raw).digest("base64url");
}

const FOLDER = "join-tokens";

const grantSchema = z.object({ name: z.string(), hosts: z.array(z.string()), days: z.number(), expires: z.string() });

function hashOf(secret: string): string {
  return createHash("sha256").update(secret).digest("hex");
}

function refused(message: string, cause?: unknown): GuildError {
  const remedy = "make another where the authority is: guild certs join-token NAME";
  return new GuildError("unauthenticated", message, { remedy, ...(cause === undefined ? {} : { cause }) });
}
