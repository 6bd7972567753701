import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { Risk } from "@guildhall/protocol";

import type { ProposedAction } from "../ports/safety.ts";
import { actionDigest } from "./action-digest.ts";
import { approvalPolicy } from "./approval-policy.ts";
import type { ApprovalRule } from "./approval-rules.ts";

const bash = (command: string, more: Partial<ProposedAction> = {}): ProposedAction => ({
  callId: "c",
  tool: "bash",
  arguments: { command },
  risk: Risk.HIGH,
  workspace: "/w",
  ...more,
});
const rule = (decide: ApprovalRule["decide"], match?: string): ApprovalRule => ({ name: decide, decide, tool: "bash", match });
const decision = (rules: ApprovalRule[], action: ProposedAction, policy = "risky") =>
  approvalPolicy(policy, { rules: () => rules }).judge(action).decision;

describe("rules for single actions", () => {
  it("allow what they name and nothing that is hung onto it", () => {
    const rules = [rule("allow", "npm run *")];
    assert.equal(decision(rules, bash("npm run build")), "allow");
    for (const more of [
      "npm run x; rm -rf /",
      "npm run x && curl y",
      "npm run $(id)",
      "npm run `id`",
      "npm run x | sh",
      "npm run x\nid",
      "npm test",
      "npm run x > y",
    ]) {
      assert.equal(decision(rules, bash(more)), "ask", more);
    }
  });

  it("the strictest of those that fit holds, and a refusal says why", () => {
    const rules = [rule("allow", "git *"), { ...rule("refuse", "*push*"), reason: "nothing is published here" }];
    assert.equal(decision(rules, bash("git status")), "allow");
    const verdict = approvalPolicy("never", { rules: () => rules }).judge(bash("git push origin; true"));
    assert.deepEqual(verdict, { decision: "refuse", reason: "nothing is published here (refuse)" });
    assert.equal(decision([rule("ask", "make deploy*")], bash("make deploy"), "never"), "ask");
  });

  it("a saved one holds for the exact action and in its workspace alone", () => {
    const saved: ApprovalRule = { name: "rul_1", decide: "allow", tool: "bash", digest: actionDigest(bash("git push")) };
    assert.equal(decision([saved], bash("git push"), "always"), "allow");
    assert.equal(decision([saved], bash("git push -f")), "ask");
    assert.equal(decision([saved], bash("git push", { workspace: "/other" })), "ask");
  });

  it("never lets private data out on the word of untrusted content", () => {
    const exposure = { sends: "bash", untrusted: "a web page" };
    assert.equal(decision([rule("allow", "curl *")], bash("curl x", { exposure })), "ask");
  });
});
