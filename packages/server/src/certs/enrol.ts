import { X509Certificate } from "node:crypto";
import { existsSync } from "node:fs";
import { request as secureRequest } from "node:https";
import { join } from "node:path";

import { GuildError } from "@guildhall/core";
import { z } from "zod";

import { fingerprintOf } from "./join-tokens.ts";
import { newServiceKeys, writeCertificates } from "./private-authority.ts";

/**
 * Gets a certificate for a join token from the first of these services that answers, into `directory`; does nothing when one is there. The authority
 * is known by the token's fingerprint before the token is shown to anybody.
 */
export async function enrol(addresses: readonly string[], token: string, directory: string): Promise<void> {
  if (existsSync(join(directory, "cert.pem"))) return;
  const fingerprint = token.split(".")[1] ?? "";
  if (fingerprint === "")
    throw new GuildError("invalid_argument", "this is no join token", { remedy: "give what guild certs join-token printed" });
  let failure: unknown;
  for (const address of addresses) {
    const url = address.includes("://") ? address : `https://${address}`;
    try {
      const { ca } = authoritySchema.parse(await ask(url, "GetAuthority", {}, undefined));
      if (fingerprintOf(ca) !== fingerprint)
        throw new GuildError("permission_denied", "another authority's service answers there than the join token is for", {
          subject: url,
          remedy: "check the address; make a token with the authority of that service",
        });
      const keys = await newServiceKeys();
      const answer = enrolmentSchema.parse(await ask(url, "Enrol", { token, publicKey: keys.publicKey }, ca));
      if (!new X509Certificate(answer.certificate).checkIssued(new X509Certificate(ca)))
        throw new GuildError("permission_denied", "the certificate is not of that authority", { subject: url });
      return writeCertificates(directory, { ca, cert: answer.certificate, key: keys.privateKey });
    } catch (error) {
      if (GuildError.is(error) && error.code !== "unavailable") throw error;
      failure = error;
    }
  }
  throw GuildError.from(failure);
}

const authoritySchema = z.object({ ca: z.string() });
const enrolmentSchema = z.object({ certificate: z.string() });
const refusalSchema = z.object({ message: z.string().default("it gave no reason") });

/** One call in the Connect protocol, as JSON. Without `ca` nobody is trusted with anything, and nothing is shown. */
async function ask(url: string, method: string, body: unknown, ca: string | undefined): Promise<unknown> {
  const target = `${url}/guildhall.internal.v1.EnrolmentService/${method}`;
  const { status, text } = await new Promise<{ status: number; text: string }>((resolve, reject) => {
    const trust = ca === undefined ? { rejectUnauthorized: false } : { ca };
    const options = {
      method: "POST",
      headers: { "content-type": "application/json" },
      minVersion: "TLSv1.3" as const,
      timeout: 15_000,
      ...trust,
    };
    const asking = secureRequest(target, options, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
      response.on("error", reject);
    });
    asking.on("timeout", () => asking.destroy(new GuildError("deadline_exceeded", "no answer", { subject: url })));
    asking.on("error", reject).end(JSON.stringify(body));
  }).catch((error: unknown) => {
    const said = error instanceof Error ? error.message : String(error);
    throw new GuildError("unavailable", `cannot be reached to join: ${said}`, { subject: url, remedy: "check --join", cause: error });
  });
  if (status === 200) return JSON.parse(text);
  if (status === 404 || status === 501)
    throw new GuildError("unsupported", "the service there makes no certificates", {
      subject: url,
      remedy: "name its authority's directory with services.authority, or bring a certificate: guild certs issue",
    });
  const { message } = refusalSchema.catch({ message: text.slice(0, 200) }).parse(parsed(text));
  throw new GuildError("unauthenticated", message, {
    subject: url,
    remedy: "make another where the authority is: guild certs join-token NAME",
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Not one of ours; its words are told as they are.
    return undefined;
  }
}
