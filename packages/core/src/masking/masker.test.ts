import assert from "node:assert/strict";
import { test } from "node:test";

import { seededRandom } from "../testing/random.ts";
import { createMasker, MASK } from "./masker.ts";

const secret = 'p@ss/w"ö+rd=42 x';
const masker = createMasker([secret]);

test("a secret is masked as it is and in each encoding", () => {
  const bytes = Buffer.from(secret);
  const forms = {
    raw: secret,
    base64: bytes.toString("base64"),
    base64url: bytes.toString("base64url"),
    hex: bytes.toString("hex"),
    url: encodeURIComponent(secret),
    form: new URLSearchParams({ a: secret }).toString().slice(2),
    json: JSON.stringify(secret),
    "json in json": JSON.stringify(JSON.stringify({ secret })),
  };
  for (const [name, form] of Object.entries(forms)) {
    const masked = masker.mask(`before ${form} after`);
    assert.ok(masked.includes(MASK), `${name}: ${masked}`);
    assert.ok(!masked.includes(form), name);
    for (const piece of ["p@ss", "cEBzcy", "70407373", "p%40ss"]) assert.ok(!masked.includes(piece), `${name}: ${masked}`);
  }
});

test("a secret within a longer base64 text is masked at each of the three alignments", () => {
  for (const prefix of ["", "u", "us", "user:"]) {
    for (const suffix of ["", "1", "12"]) {
      const encoded = Buffer.from(`${prefix}correct-horse-battery${suffix}`).toString("base64");
      assert.match(createMasker(["correct-horse-battery"]).mask(encoded), /\*\*\*/, `${prefix}|${suffix}`);
    }
  }
});

test("each line of a key is masked, its frame is not", () => {
  const key = `-----BEGIN KEY-----\n${"A1b2".repeat(12)}\n${"C3d4".repeat(12)}\n-----END KEY-----\n`;
  const masked = createMasker([key]).mask(`one ${"C3d4".repeat(12)} two\n-----END KEY-----`);
  assert.equal(masked, `one ${MASK} two\n-----END KEY-----`);
});

test("masked JSON stays JSON", () => {
  const text = JSON.stringify({ a: `x${secret}y`, b: [secret] });
  assert.deepEqual(JSON.parse(masker.mask(text)), { a: `x${MASK}y`, b: [MASK] });
});

test("short and empty secrets mask nothing", () => {
  assert.equal(createMasker(["", "a", "1234"]).mask("a 1234"), "a 1234");
});

test("secrets with the characters of regular expressions are taken literally", () => {
  assert.equal(createMasker(["a.c*[x]$^|\\"]).mask("abc a.c*[x]$^|\\ d"), `abc ${MASK} d`);
});

test("a stream gives what the whole gives, however it is cut", () => {
  const random = seededRandom(Number(process.env["SEED"] ?? Date.now() % 1_000_000));
  for (let round = 0; round < 2000; round += 1) {
    const alphabet = ["a", "b"];
    const word = (length: number): string => Array.from({ length }, () => random.pick(alphabet)).join("");
    const secrets = Array.from({ length: 1 + random.below(3) }, () => word(5 + random.below(5)));
    const masker = createMasker(secrets);
    const text = Array.from({ length: random.below(6) }, () => (random.chance(0.5) ? random.pick(secrets) : word(random.below(8)))).join(
      "",
    );
    const stream = masker.stream();
    let streamed = "";
    for (let at = 0; at < text.length;) {
      const next = at + 1 + random.below(6);
      streamed += stream.push(text.slice(at, next));
      at = next;
    }
    streamed += stream.end();
    assert.equal(streamed, masker.mask(text), `seed ${random.seed}: ${JSON.stringify({ secrets, text })}`);
  }
});

test("a stream holds back no more than may be a beginning, and sees secrets added later", () => {
  const late = createMasker(["secret-one"]);
  const stream = late.stream();
  assert.equal(stream.push("hello sec"), "hello ");
  assert.equal(stream.push("ond"), "second");
  late.add(["token-two"]);
  assert.equal(stream.push(" token-two."), ` ${MASK}.`);
  assert.equal(stream.end(), "");
});

test("secrets of any size are masked, whole and in streams, beside short ones", () => {
  const random = seededRandom(7);
  for (const size of [1_100, 40_000, 300_000]) {
    const large = Array.from({ length: size / 20 }, () => `${random.below(1e9)}/${random.below(1e9)}`.padEnd(20, "x")).join("");
    const masker = createMasker([large, "short-one"]);
    const text = `a short-one ${large} b ${encodeURIComponent(large)} c`;
    const masked = `a ${MASK} ${MASK} b ${MASK} c`;
    assert.equal(masker.mask(text), masked);
    const stream = masker.stream();
    let streamed = "";
    for (let at = 0; at < text.length; at += 50_001) streamed += stream.push(text.slice(at, at + 50_001));
    assert.equal(streamed + stream.end(), masked);
  }
});

test("many secrets together are no less masked", () => {
  const secrets = Array.from({ length: 3_000 }, (_, index) => `secret-number-${index}-end`);
  const masker = createMasker(secrets);
  assert.equal(masker.mask(`x ${secrets[0]} y ${secrets[2_999]} z`), `x ${MASK} y ${MASK} z`);
});
