import assert from "node:assert/strict";
import { once } from "node:events";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";

import { GuildError } from "@guildhall/core";
import { secretsContract, startKeyringSession } from "@guildhall/core/testing";

import { encryptedFileSecrets, type EncryptedFileOptions } from "./encrypted-file.ts";
import { environmentSecrets } from "./environment.ts";
import { keyringSecrets } from "./keyring.ts";
import { vaultSecrets } from "./vault.ts";

async function files(): Promise<EncryptedFileOptions & { folder: string }> {
  const folder = await mkdtemp(join(tmpdir(), "guild-secrets-"));
  return { folder, file: join(folder, "store", "secrets.json"), keyFile: join(folder, "key", "secrets.key") };
}

secretsContract("the encrypted file", async () => {
  const options = await files();
  const close = (): Promise<void> => rm(options.folder, { recursive: true });
  return { secrets: encryptedFileSecrets(options), reopen: () => encryptedFileSecrets(options), close };
});

secretsContract("a vault", async () => {
  let entry: { data: Record<string, string>; version: number } = { data: {}, version: 0 };
  const server = createServer((message, response) => {
    assert.equal(message.headers["x-vault-token"], "root");
    const chunks: Buffer[] = [];
    message.on("data", (chunk: Buffer) => chunks.push(chunk));
    message.on("end", () => {
      if (message.method === "GET") {
        response.statusCode = entry.version === 0 ? 404 : 200;
        response.end(JSON.stringify({ data: { data: entry.data, metadata: { version: entry.version } } }));
        return;
      }
      const body = JSON.parse(Buffer.concat(chunks).toString()) as { data: Record<string, string>; options: { cas: number } };
      if (body.options.cas === entry.version) entry = { data: body.data, version: entry.version + 1 };
      else response.statusCode = 400;
      response.end("{}");
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const secrets = vaultSecrets({ address, token: "root", mount: "secret", path: "guildhall" });
  const close = async (): Promise<void> => {
    server.close();
    server.closeAllConnections();
    await once(server, "close");
  };
  return { secrets, reopen: () => vaultSecrets({ address, token: "root", mount: "secret", path: "guildhall" }), close };
});

secretsContract("the keyring", async () => {
  const session = await startKeyringSession();
  const open = () => keyringSecrets({ env: session.env });
  return { secrets: open(), reopen: open, close: () => session.close() };
});

describe("the keyring", () => {
  it("says in one line what is missing: the tool, or a session", async () => {
    const folder = await mkdtemp(join(tmpdir(), "guild-keyring-"));
    const asked = (env: Record<string, string>) => keyringSecrets({ env }).get("TOKEN");
    await assert.rejects(
      asked({ PATH: folder }),
      (error) => GuildError.is(error, "failed_precondition") && /libsecret-tools/.test(error.line),
    );
    const noBus = { PATH: process.env["PATH"] ?? "", HOME: folder, XDG_RUNTIME_DIR: folder };
    await assert.rejects(asked(noBus), (error) => GuildError.is(error, "unavailable") && !error.line.includes("\n"));
    await rm(folder, { recursive: true });
  });
});

describe("the encrypted file", () => {
  it("holds no value in the clear, and refuses a changed file and another key", async () => {
    const options = await files();
    await encryptedFileSecrets(options).set("TOKEN", "canary-value");
    const text = await readFile(options.file, "utf8");
    assert.ok(!text.includes("canary") && !text.includes("TOKEN"));
    await writeFile(
      options.file,
      text.replace(/(?<="data":")./, (first) => (first === "A" ? "B" : "A")),
    );
    await assert.rejects(encryptedFileSecrets(options).get("TOKEN"), (error) => GuildError.is(error, "corrupt"));
    await writeFile(options.file, text);
    await writeFile(options.keyFile, Buffer.alloc(32));
    await assert.rejects(encryptedFileSecrets(options).get("TOKEN"), (error) => GuildError.is(error, "corrupt"));
    await rm(options.folder, { recursive: true });
  });

  it("refuses a key that others can read, an odd name, an empty and an enormous value", async () => {
    const options = await files();
    const secrets = encryptedFileSecrets(options);
    await secrets.set("TOKEN", "x");
    await chmod(options.keyFile, 0o644);
    await assert.rejects(secrets.get("TOKEN"), (error) => GuildError.is(error, "permission_denied"));
    await chmod(options.keyFile, 0o600);
    for (const [name, value] of [
      ["a b", "x"],
      ["A", ""],
      ["A", "x".repeat(1_000_000)],
    ] as const) {
      await assert.rejects(secrets.set(name, value), (error) => GuildError.is(error, "invalid_argument"));
    }
    await rm(options.folder, { recursive: true });
  });
});

describe("secrets of the environment", () => {
  it("are read by name and never written", async () => {
    const secrets = environmentSecrets({ B: "2", A: "1", C: undefined });
    assert.deepEqual(await secrets.names(), ["A", "B"]);
    assert.equal(await secrets.get("B"), "2");
    await assert.rejects(secrets.set("A", "x"), (error) => GuildError.is(error, "unsupported"));
  });
});
