import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { GraphRun, MAX_GRAPH_TASKS, validateGraph, type FailurePolicy, type GraphTask } from "./graph.ts";

/** `b:a,c?skip` is a task b that depends on a (fail) and c (skip). */
function graph(...lines: string[]): GraphTask[] {
  return lines.map((line) => {
    const [id = "", rest = ""] = line.split(":");
    const dependencies = rest
      .split(",")
      .filter((part) => part !== "")
      .map((part) => {
        const [on = "", policy = "fail"] = part.split("?");
        return { on, onFailure: policy as FailurePolicy };
      });
    return { id, dependencies };
  });
}

const said = (changes: ReadonlyArray<{ task: string; state: string }>): string =>
  changes.map((change) => `${change.task} ${change.state}`).join(", ");

describe("validateGraph", () => {
  it("names the cycle", () => {
    assert.throws(() => validateGraph(graph("a:c", "b:a", "c:b", "d:a")), /a → c → b → a/);
    assert.throws(() => validateGraph(graph("a:a")), /a → a/);
  });

  it("refuses unknown and doubled tasks and a graph that is too large", () => {
    assert.throws(() => validateGraph(graph("a:x")), /depends on x/);
    assert.throws(() => validateGraph(graph("a", "a")), /same id/);
    assert.throws(
      () => validateGraph(Array.from({ length: MAX_GRAPH_TASKS + 1 }, (_, index) => ({ id: `${index}`, dependencies: [] }))),
      /too large/,
    );
  });

  it("takes a chain as deep as the largest graph", () => {
    const chain = Array.from({ length: MAX_GRAPH_TASKS }, (_, index) => `${index}:${index === 0 ? "" : index - 1}`);
    assert.doesNotThrow(() => validateGraph(graph(...chain)));
  });
});

describe("GraphRun", () => {
  it("runs in the order of the dependencies", () => {
    const run = new GraphRun(graph("a", "b:a", "c:a", "d:b,c"));
    assert.equal(said(run.advance()), "a ready");
    assert.throws(() => run.start("b"), /waiting, not ready/);
    run.start("a");
    assert.equal(said(run.end("a", true, "ok")), "a succeeded, b ready, c ready");
    run.start("b");
    run.start("c");
    assert.equal(said(run.end("b", true, "ok")), "b succeeded");
    assert.equal(said(run.end("c", true, "ok")), "c succeeded, d ready");
    assert.equal(run.finished, false);
  });

  it("follows each edge's failure policy, through those that follow", () => {
    const run = new GraphRun(graph("a", "f:a", "s:a?skip", "c:a?continue", "after:s?continue", "last:f"));
    run.advance();
    run.start("a");
    assert.equal(said(run.end("a", false, "tests fail")), "a failed, f failed, s skipped, c ready, last failed, after ready");
  });

  it("cancels what depends on it, but not what has ended", () => {
    const run = new GraphRun(graph("a", "b:a", "c:b?continue", "x"));
    run.advance();
    assert.equal(said(run.cancel("b")), "b cancelled, c cancelled");
    assert.equal(said(run.cancel("b")), "");
    assert.equal(run.state("a"), "ready");
    assert.equal(run.state("x"), "ready");
  });

  it("goes on from stored states", () => {
    const run = new GraphRun(graph("a", "b:a"), new Map([["a", "succeeded"]]));
    assert.equal(said(run.advance()), "b ready");
  });
});
