import { webcrypto } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { isIP } from "node:net";
import { join } from "node:path";

import { GuildError } from "@guildhall/core";

/** Files of a service's directory of certificates. */
export interface CertificateFiles {
  ca: string;
  cert: string;
  key: string;
}

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

/**
 * Makes a private authority in `directory`: `ca.pem`, which every service trusts, and `ca-key.pem`, which stays where it is. Throws
 * `already_exists` when there is one.
 */
export async function initAuthority(directory: string, now: Date, days = 3_650): Promise<void> {
  if (existsSync(join(directory, "ca-key.pem")))
    throw new GuildError("already_exists", "there is an authority already", {
      subject: directory,
      remedy: "issue certificates from it: guild certs issue",
    });
  const x509 = await load();
  const keys = await newKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: "CN=Guildhall private authority",
    serialNumber: serial(),
    ...validity(now, days),
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  write(directory, "ca-key.pem", await pemKey(keys.privateKey));
  write(directory, "ca.pem", certificate.toString("pem"));
}

/**
 * A certificate of one service for these hosts (names and addresses), good as server and as client, with its key and the authority's
 * certificate, in a directory of its own: what `services.certs` names. Throws `not_found` without an authority.
 */
export async function issueCertificate(
  authority: string,
  { out, ...request }: { name: string; hosts: readonly string[]; out: string; days: number },
  now: Date,
): Promise<void> {
  const { privateKey, publicKey } = await newServiceKeys();
  const { certificate, ca } = await certify(authority, { ...request, publicKey: Buffer.from(publicKey, "base64") }, now);
  writeCertificates(out, { ca, cert: certificate, key: privateKey });
}

/** The keys of a service: the private one as PEM, the public one as base64 of its SubjectPublicKeyInfo. */
export async function newServiceKeys(): Promise<{ privateKey: string; publicKey: string }> {
  const keys = await newKeys();
  const publicKey = Buffer.from(await webcrypto.subtle.exportKey("spki", keys.publicKey)).toString("base64");
  return { privateKey: await pemKey(keys.privateKey), publicKey };
}

/** Signs a service's public key (SubjectPublicKeyInfo). PEM texts. Throws `not_found` without an authority, `invalid_argument` for no key of ours. */
export async function certify(
  authority: string,
  request: { name: string; hosts: readonly string[]; days: number; publicKey: Uint8Array },
  now: Date,
): Promise<{ certificate: string; ca: string }> {
  const x509 = await load();
  const ca = new x509.X509Certificate(read(join(authority, "ca.pem"), "guild certs init makes an authority"));
  const caKey = read(join(authority, "ca-key.pem"), "issue certificates where the authority was made");
  const signingKey = await webcrypto.subtle.importKey(
    "pkcs8",
    Buffer.from(caKey.replace(/-----[^-]+-----|\s/g, ""), "base64"),
    algorithm,
    false,
    ["sign"],
  );
  const spki = Uint8Array.from(request.publicKey);
  const publicKey = await webcrypto.subtle.importKey("spki", spki, algorithm, true, ["verify"]).catch((cause: unknown) => {
    throw new GuildError("invalid_argument", "this is no public key of a service", { subject: request.name, cause });
  });
  const alternatives = request.hosts.map((value) => ({ type: isIP(value) === 0 ? ("dns" as const) : ("ip" as const), value }));
  const certificate = await x509.X509CertificateGenerator.create({
    subject: [{ CN: [request.name] }],
    issuer: ca.subject,
    serialNumber: serial(),
    ...validity(now, request.days),
    publicKey,
    signingKey,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
      ...(alternatives.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(alternatives)]),
      await x509.AuthorityKeyIdentifierExtension.create(ca),
    ],
  });
  return { certificate: certificate.toString("pem"), ca: ca.toString("pem") };
}

/** What `services.certs` names. */
export function writeCertificates(directory: string, { ca, cert, key }: CertificateFiles): void {
  write(directory, "key.pem", key);
  write(directory, "cert.pem", cert);
  write(directory, "ca.pem", ca);
}

/** PEM texts of a service's directory. Throws what is wrong with it in one line: a missing file, a key that others can read, a time that is over. */
export function readCertificates(directory: string, now = new Date()): CertificateFiles {
  const remedy = "guild certs issue makes one";
  const [ca, cert, key] = ["ca.pem", "cert.pem", "key.pem"].map((name) => read(join(directory, name), remedy));
  if ((statSync(join(directory, "key.pem")).mode & 0o077) !== 0)
    throw new GuildError("permission_denied", "others can read a private key", {
      subject: join(directory, "key.pem"),
      remedy: "chmod 600 it",
    });
  return checked({ ca: ca ?? "", cert: cert ?? "", key: key ?? "" }, directory, now);
}

function checked(files: CertificateFiles, directory: string, now: Date): CertificateFiles {
  const { X509Certificate } = process.getBuiltinModule("node:crypto");
  const certificate = new X509Certificate(files.cert);
  if (new Date(certificate.validTo) < now)
    throw new GuildError("failed_precondition", `the certificate has expired on ${certificate.validTo}`, {
      subject: directory,
      remedy: "guild certs issue makes another",
    });
  if (!certificate.checkIssued(new X509Certificate(files.ca)))
    throw new GuildError("failed_precondition", "the certificate is not of that authority", {
      subject: directory,
      remedy: "guild certs issue makes another",
    });
  return files;
}

async function load() {
  // The library wants its metadata polyfill first.
  await import("reflect-metadata");
  return await import("@peculiar/x509");
}

function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
}

/** From an hour ago: clocks differ. */
function validity(now: Date, days: number): { notBefore: Date; notAfter: Date } {
  return { notBefore: new Date(now.getTime() - 3_600_000), notAfter: new Date(now.getTime() + days * 86_400_000) };
}

function serial(): string {
  return Buffer.from(webcrypto.getRandomValues(new Uint8Array(16)))
    .toString("hex")
    .replace(/^./, "1");
}

async function pemKey(key: webcrypto.CryptoKey): Promise<string> {
  const base64 = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", key)).toString("base64");
  return `-----BEGIN PRIVATE KEY-----\n${base64.replace(/.{64}/g, "$&\n")}\n-----END PRIVATE KEY-----\n`;
}

function write(directory: string, name: string, text: string): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  writeFileSync(join(directory, name), text, { mode: 0o600 });
}

function read(file: string, remedy: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new GuildError("not_found", "a certificate cannot be read", { subject: file, remedy, cause: error });
  }
}
