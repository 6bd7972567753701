import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { Risk } from "@guildhall/protocol";

import { GuildError } from "../errors.ts";
import { actionDigest } from "./action-digest.ts";
import { approvalPolicy } from "./approval-policy.ts";

const action = { callId: "call_1", tool: "bash", arguments: { command: "ls", timeout_s: 3 }, risk: Risk.LOW, workspace: "/w" };

describe("an approval policy", () => {
  it("asks never, always, or when the risk is high or not known", () => {
    const asks = (policy: string, risk: Risk, tool = "bash") => approvalPolicy(policy).judge({ ...action, tool, risk }).decision === "ask";
    assert.deepEqual([asks("never", Risk.HIGH), asks("always", Risk.LOW), asks("always", Risk.LOW, "think")], [false, true, false]);
    assert.deepEqual(
      [Risk.LOW, Risk.MEDIUM, Risk.HIGH, Risk.UNSPECIFIED].map((risk) => asks("risky", risk)),
      [false, false, true, true],
    );
    assert.equal(asks("", Risk.HIGH), true);
  });

  it("asks before private data could leave on the word of untrusted content, unless the operator has allowed it", () => {
    const exposed = { ...action, exposure: { sends: "POST a.example.com", untrusted: "https://b.example.com" } };
    for (const policy of ["never", "risky", "always"]) {
      const verdict = approvalPolicy(policy).judge(exposed);
      assert.ok(
        verdict.decision === "ask" && verdict.reason.includes("POST a.example.com") && verdict.reason.includes("https://b.example.com"),
      );
      assert.equal(verdict.dataLeaves, true);
    }
    const risky = approvalPolicy("always").judge(action);
    assert.equal(risky.decision === "ask" && risky.dataLeaves, false);
    assert.equal(approvalPolicy("never", { dataLeaving: "allow" }).judge(exposed).decision, "allow");
  });

  it("says what else is to be said of an action by which private data could leave", () => {
    const exposure = { sends: "git push", untrusted: "https://b.example.com" };
    const exposed = { ...action, risk: Risk.HIGH, reasons: ["it publishes commits"], exposure };
    const leaves = "private data could leave (git push) on the word of untrusted content (https://b.example.com)";
    const expected = {
      never: `${leaves}: it publishes commits`,
      risky: `${leaves}; its risk is high: it publishes commits`,
      always: `${leaves}; every action is asked about: it publishes commits`,
    };
    for (const [policy, reason] of Object.entries(expected)) {
      const verdict = approvalPolicy(policy).judge(exposed);
      assert.equal(verdict.decision === "ask" && verdict.reason, reason);
    }
  });

  it("refuses a name that it does not know", () => {
    assert.throws(
      () => approvalPolicy("sometimes"),
      (error) => GuildError.is(error, "invalid_argument"),
    );
  });
});

describe("the digest of an action", () => {
  it("is the same for the same action however it is spelt, and another for any other", () => {
    const digest = actionDigest(action);
    assert.equal(actionDigest({ ...action, arguments: { timeout_s: 3, command: "ls" } }), digest);
    assert.notEqual(actionDigest({ ...action, arguments: { command: "ls", timeout_s: 4 } }), digest);
    assert.notEqual(actionDigest({ ...action, tool: "edit" }), digest);
    assert.notEqual(actionDigest({ ...action, workspace: "/v" }), digest);
  });
});
