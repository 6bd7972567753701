import { webcrypto } from "node:crypto";
import { createSecureContext, type SecureContext } from "node:tls";

/** A certificate authority that one session's sandbox trusts and nothing else does; its key never leaves this process. */
export interface SessionAuthority {
  /** PEM, for the sandbox's trust store. */
  certificate: string;
  /** A server context for `host`, made at first use. */
  contextFor(host: string): Promise<SecureContext>;
}

/** Valid from an hour ago (clocks differ) for `hours`. ECDSA P-256. */
export async function createSessionAuthority(name: string, now: Date, hours = 24): Promise<SessionAuthority> {
  // The library wants its metadata polyfill first, and is only needed where a session may use the network at all.
  await import("reflect-metadata");
  const x509 = await import("@peculiar/x509");
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const newKeys = (): Promise<webcrypto.CryptoKeyPair> => webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const validity = { notBefore: new Date(now.getTime() - 3_600_000), notAfter: new Date(now.getTime() + hours * 3_600_000) };
  const serial = (): string =>
    Buffer.from(webcrypto.getRandomValues(new Uint8Array(16)))
      .toString("hex")
      .replace(/^./, "1");

  const keys = await newKeys();
  const issuer = await x509.X509CertificateGenerator.createSelfSigned({
    name: `CN=${name}`,
    serialNumber: serial(),
    ...validity,
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });

  async function issue(host: string): Promise<SecureContext> {
    const own = await newKeys();
    const certificate = await x509.X509CertificateGenerator.create({
      subject: "CN=Guildhall proxy",
      issuer: issuer.subject,
      serialNumber: serial(),
      ...validity,
      publicKey: own.publicKey,
      signingKey: keys.privateKey,
      signingAlgorithm: algorithm,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
        new x509.SubjectAlternativeNameExtension([{ type: "dns", value: host }], true),
        await x509.AuthorityKeyIdentifierExtension.create(keys.publicKey),
      ],
    });
    const key = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", own.privateKey)).toString("base64");
    return createSecureContext({
      // With its issuer, by whose key browsers are told to trust the whole.
      cert: `${certificate.toString("pem")}\n${issuer.toString("pem")}\n`,
      key: `-----BEGIN PRIVATE KEY-----\n${key}\n-----END PRIVATE KEY-----\n`,
    });
  }

  const contexts = new Map<string, Promise<SecureContext>>();
  return {
    certificate: issuer.toString("pem"),
    contextFor(host) {
      let context = contexts.get(host);
      if (context === undefined) contexts.set(host, (context = issue(host)));
      return context;
    },
  };
}
