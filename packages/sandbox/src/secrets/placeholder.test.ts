import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { type SecretGrant, substitute } from "./placeholder.ts";

const GRANT: SecretGrant = {
  secret: "token",
  placeholder: "guildhall-secret-7f",
  host: "api.example.com",
  methods: ["GET"],
  paths: ["/repos/*"],
};
const REQUEST = { secure: true, host: "api.example.com", port: 443, method: "GET", path: "/repos/x" };
const value = (name: string): string | undefined => (name === "token" ? "s3cr3t$&" : undefined);

describe("substitute", () => {
  it("puts the value in, to the letter, where the grant leads", () => {
    const headers = { authorization: "Bearer guildhall-secret-7f", accept: "*/*" };
    assert.deepEqual(substitute([GRANT], value, REQUEST, headers), {
      allowed: true,
      headers: { authorization: "Bearer s3cr3t$&" },
      used: ["token"],
    });
  });

  it("finds it inside Basic credentials", () => {
    const basic = `Basic ${Buffer.from("user:guildhall-secret-7f").toString("base64")}`;
    const result = substitute([GRANT], value, REQUEST, { authorization: basic });
    assert.deepEqual(result, {
      allowed: true,
      headers: { authorization: `Basic ${Buffer.from("user:s3cr3t$&").toString("base64")}` },
      used: ["token"],
    });
  });

  it("refuses the request wherever else it goes", () => {
    const headers = { authorization: "Bearer guildhall-secret-7f" };
    for (const elsewhere of [{ host: "evil.com" }, { method: "POST" }, { path: "/user" }, { secure: false }]) {
      const result = substitute([GRANT], value, { ...REQUEST, ...elsewhere }, headers);
      assert.equal(result.allowed, false, JSON.stringify(elsewhere));
    }
  });

  it("refuses a value that would break out of its header", () => {
    const result = substitute([GRANT], () => "a\r\nx-injected: 1", REQUEST, { authorization: "guildhall-secret-7f" });
    assert.equal(result.allowed, false);
  });

  it("leaves requests without a placeholder as they are", () => {
    assert.deepEqual(substitute([GRANT], value, { ...REQUEST, host: "evil.com" }, { accept: "*/*" }), {
      allowed: true,
      headers: {},
      used: [],
    });
  });
});
