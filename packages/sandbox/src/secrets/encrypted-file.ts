import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { chmod, mkdir, open, readFile, rename, stat } from "node:fs/promises";
import { dirname } from "node:path";

import { GuildError, type Secrets } from "@guildhall/core";

import { checkSecret } from "./valid-secret.ts";

export interface EncryptedFileOptions {
  /** The store: one line of JSON with nonce, tag and ciphertext of all secrets. */
  file: string;
  /** 32 random bytes, 0600, made when absent. Keep it out of backups of the store. */
  keyFile: string;
}

/**
 * Secrets in one file, encrypted as a whole (AES-256-GCM, a fresh nonce a write), replaced atomically. Throws `corrupt` when file and key do
 * not belong together or the file was changed, `permission_denied` when the key is readable by others.
 */
export function encryptedFileSecrets(options: EncryptedFileOptions): Secrets {
  let turn: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const result = turn.then(work, work);
    // Its caller is told; the next has its turn all the same.
    turn = result.catch(() => undefined);
    return result;
  };
  const change = (edit: (secrets: Map<string, string>) => void): Promise<void> =>
    inTurn(async () => {
      const secrets = await load(options);
      edit(secrets);
      await store(options, secrets);
    });
  return {
    get: (name) => inTurn(async () => (await load(options)).get(name)),
    names: () => inTurn(async () => [...(await load(options)).keys()].toSorted()),
    delete: (name) => change((secrets) => secrets.delete(name)),
    async set(name, value) {
      checkSecret(name, value);
      await change((secrets) => secrets.set(name, value));
    },
  };
}

interface Sealed {
  format: 1;
  nonce: string;
  tag: string;
  data: string;
}

async function load(options: EncryptedFileOptions): Promise<Map<string, string>> {
  let text: string;
  try {
    text = await readFile(options.file, "utf8");
  } catch (error) {
    if (isMissing(error)) return new Map();
    throw error;
  }
  const key = await readKey(options.keyFile);
  if (key === undefined) throw corrupt(options.file, `its key ${options.keyFile} is missing`);
  try {
    const sealed = JSON.parse(text) as Sealed;
    const decipher = createDecipheriv("aes-256-gcm", key, Buffer.from(sealed.nonce, "base64"));
    decipher.setAuthTag(Buffer.from(sealed.tag, "base64"));
    const plain = Buffer.concat([decipher.update(sealed.data, "base64"), decipher.final()]).toString("utf8");
    return new Map(Object.entries(JSON.parse(plain) as Record<string, string>));
  } catch (error) {
    throw corrupt(options.file, "it was changed, or its key is another", error);
  }
}

async function store(options: EncryptedFileOptions, secrets: ReadonlyMap<string, string>): Promise<void> {
  await mkdir(dirname(options.file), { recursive: true, mode: 0o700 });
  const key = (await readKey(options.keyFile)) ?? (await makeKey(options.keyFile));
  const nonce = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", key, nonce);
  const data = cipher.update(JSON.stringify(Object.fromEntries(secrets)), "utf8", "base64") + cipher.final("base64");
  const sealed: Sealed = { format: 1, nonce: nonce.toString("base64"), tag: cipher.getAuthTag().toString("base64"), data };
  const temporary = `${options.file}.${randomBytes(6).toString("hex")}`;
  await writeDurably(temporary, `${JSON.stringify(sealed)}\n`);
  await rename(temporary, options.file);
}

async function readKey(file: string): Promise<Buffer | undefined> {
  try {
    const { mode } = await stat(file);
    if ((mode & 0o077) !== 0) {
      throw new GuildError("permission_denied", "the key of the secrets is readable by others", {
        subject: file,
        remedy: `chmod 600 ${file}`,
      });
    }
    const key = await readFile(file);
    if (key.length !== 32) throw corrupt(file, "a key has 32 bytes");
    return key;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

async function makeKey(file: string): Promise<Buffer> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const key = randomBytes(32);
  await writeDurably(file, key);
  await chmod(file, 0o600);
  return key;
}

async function writeDurably(file: string, content: string | Uint8Array): Promise<void> {
  const handle = await open(file, "wx", 0o600);
  try {
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

function corrupt(file: string, why: string, cause?: unknown): GuildError {
  return new GuildError("corrupt", `the secret store cannot be read: ${why}`, {
    subject: file,
    remedy: "restore file and key from one backup",
    cause,
  });
}
