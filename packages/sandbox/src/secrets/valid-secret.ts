import { GuildError } from "@guildhall/core";

/** Longest value that a store takes, bytes: room for keys and certificates, none for what is no credential. */
const LARGEST = 64 * 1024;

/** Throws `invalid_argument`, in one line, for what no store takes. */
export function checkSecret(name: string, value: string): void {
  if (!isSecretName(name)) {
    throw new GuildError("invalid_argument", "a secret's name is letters, digits, `_`, `.` and `-`, at most 128", { subject: name });
  }
  if (value === "") throw new GuildError("invalid_argument", "the secret is empty", { subject: name, remedy: "give it on standard input" });
  const size = Buffer.byteLength(value);
  if (size > LARGEST) {
    throw new GuildError("invalid_argument", `the secret has ${size} bytes, and a credential at most ${LARGEST}`, {
      subject: name,
      remedy: "keep what is larger in a file, and the key to it here",
    });
  }
}

export function isSecretName(name: string): boolean {
  return /^[A-Za-z_][A-Za-z0-9_.-]{0,127}$/.test(name);
}
