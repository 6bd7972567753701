import assert from "node:assert/strict";
import { test } from "node:test";

import { judgeRequest, matchesPath, mayConnect } from "./rules.ts";

const request = { secure: true, host: "a.example.com", port: 443, method: "GET", path: "/x" };

test("every layer must allow a request; no layer allows none", () => {
  const wide = [{ id: "wide", host: "*.example.com" }];
  const narrow = [{ id: "narrow", host: "b.example.com" }];
  assert.deepEqual(judgeRequest([wide], request), { allowed: true, rule: "wide", reason: "allowed by wide" });
  assert.equal(judgeRequest([wide, narrow], request).allowed, false);
  assert.equal(judgeRequest([wide, narrow], { ...request, host: "b.example.com" }).allowed, true);
  assert.equal(judgeRequest([], request).allowed, false);
  assert.equal(mayConnect([wide, narrow], "a.example.com", 443).allowed, false);
  assert.equal(mayConnect([wide, wide], "a.example.com", 443).allowed, true);
  assert.equal(mayConnect([], "a.example.com", 443).allowed, false);
});

test("a star stands for any text, at any place", () => {
  for (const [pattern, path, expected] of [
    ["/a", "/a", true],
    ["/a", "/a/b", false],
    ["/a/*", "/a/b/c", true],
    ["/a*", "/b", false],
    ["*/git-upload-pack", "/o/r.git/git-upload-pack", true],
    ["*/git-upload-pack", "/o/r.git/git-receive-pack", false],
    ["/a*a", "/a", false],
    ["/a*b*c", "/aXbYc", true],
    ["/a*b*c", "/aXcYb", false],
    ["*", "/", true],
  ] as const)
    assert.equal(matchesPath(pattern, path), expected, `${pattern} ${path}`);
});
