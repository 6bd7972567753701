import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";

import { createMasker } from "../masking/index.ts";
import { plantedSecrets } from "../testing/planted-secrets.ts";
import { seededRandom } from "../testing/random.ts";
import { createSecretScanner } from "./scanner.ts";

const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
const all = createSecretScanner();
const shaped = createSecretScanner({ rules: "shaped" });

describe("the secret scanner", () => {
  it("lets none of a thousand planted secrets through", () => {
    const planted = plantedSecrets(seededRandom(seed), 1000);
    for (const { kind, secret, line } of planted) {
      const redacted = all.redact(`before\n${line}\nafter`);
      assert.ok(!redacted.includes(secret), `seed ${seed}: ${kind}: ${line}`);
      for (const part of secret.split(/[-_.=/+:\\\s]+|---+[A-Z ]+---+/).filter((each) => each.length >= 20)) {
        assert.ok(!redacted.includes(part), `seed ${seed}: ${kind}: a part of it is left: ${redacted}`);
      }
      assert.ok(redacted.startsWith("before\n") && redacted.endsWith("\nafter"), `${kind}: ${redacted}`);
    }
  });

  it("finds by their shape alone all but what only its name gives away", () => {
    const named = ["aws secret", "password", "twilio token", "datadog key", "client secret"];
    for (const { kind, secret, line } of plantedSecrets(seededRandom(seed), 300)) {
      if (!named.includes(kind)) assert.ok(!shaped.redact(line).includes(secret), `seed ${seed}: ${kind}: ${line}`);
    }
  });

  it("says which rule and where", () => {
    const token = `ghp_${"aB3dE6gH9".repeat(4)}`;
    assert.deepEqual(all.scan(`x ${token}.`), [{ rule: "github-token", start: 2, end: 42 }]);
  });

  it("gives in a stream what it gives for the whole, however that is cut", () => {
    const random = seededRandom(seed);
    for (let round = 0; round < 25; round += 1) {
      const lines = plantedSecrets(random, 8 + random.below(70))
        .filter(({ kind }) => kind !== "mailchimp")
        .map(({ line }) => line);
      const text = random
        .shuffle([...lines, "plain text", "password = ", "-----BEGIN ", "sk-", "://a:b"])
        .join(random.pick(["\n", " ", "\r\n"]));
      for (const scanner of [all, shaped]) {
        const stream = scanner.stream();
        const most = random.pick([1, 7, 100, 5000]) + 1;
        let streamed = "";
        for (let at = 0; at < text.length;) {
          const next = at + 1 + random.below(most);
          streamed += stream.push(text.slice(at, next));
          at = next;
        }
        streamed += stream.end();
        assert.equal(streamed, scanner.redact(text), `seed ${seed}, round ${round}`);
      }
    }
  });

  it("holds back nothing of ordinary text and prompts", () => {
    const stream = all.stream();
    for (const text of ["$ ", "Continue? [y/N] ", ">>> ", "(gdb) ", "hello world.\n", "Password: "]) {
      // After a name that speaks the value may follow; everything else is passed on at once.
      assert.equal(stream.push(text), text.startsWith("Pass") ? "" : text);
    }
    assert.equal(stream.end(), "Password: ");
  });

  it("leaves placeholders, examples and source code as they are", () => {
    for (const text of [
      "AKIAIOSFODNN7EXAMPLE",
      "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
      "postgres://user:password@localhost/db",
      "postgres://user:${DB_PASSWORD}@localhost/db",
      "git clone https://github.com/owner/name.git",
      "const token = await getToken(session.user.id);",
      "authorization: Bearer ${token}",
      'secret: process.env["CLIENT_SECRET"]',
      "the task-list of sk-learn, and key-value stores",
      "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
      "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
      "guildhall-secret-0123456789abcdef01234567",
    ]) {
      assert.equal(all.redact(text), text);
    }
    const source = globSync("packages/*/src/**/*.ts", { cwd: join(import.meta.dirname, "../../../..") });
    let [lines, found] = [0, 0];
    for (const file of source.filter((each) => !/\.test\.ts$|\/gen\/|testdata/.test(each))) {
      const text = readFileSync(join(import.meta.dirname, "../../../..", file), "utf8");
      lines += text.split("\n").length;
      found += all.scan(text).length;
    }
    assert.ok(lines > 10_000 && found <= lines / 1000, `${found} in ${lines} lines`);
  });

  it("ends soon, whatever it is given", () => {
    for (const part of [
      "-----BEGIN PRIVATE KEY-----",
      "eyJ",
      "://a",
      "sk-",
      "ghp_",
      "password",
      "password=",
      "AAAAAAAAAAAAAAAAAAAAA",
      "Bearer eyJ.",
    ]) {
      const text = part.repeat(Math.floor(200_000 / part.length));
      assert.ok(all.redact(text).length <= text.length);
      const stream = all.stream();
      for (let at = 0; at < text.length; at += 5000) stream.push(text.slice(at, at + 5000));
      stream.end();
    }
  });
});

describe("a masker with a scanner", () => {
  it("takes out known secrets and unknown ones, whole and in streams", () => {
    const masker = createMasker(["correct-horse-battery"], { scanner: shaped });
    const text = `correct-horse-battery, npm_${"aB3dE6gH9".repeat(4)}.`;
    assert.equal(masker.mask(text), "***, ***.");
    const stream = masker.stream();
    assert.equal(Array.from(text, (char) => stream.push(char)).join("") + stream.end(), "***, ***.");
  });
});
