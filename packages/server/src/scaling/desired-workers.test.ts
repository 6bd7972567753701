import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { desiredWorkers } from "./desired-workers.ts";

describe("how many local workers are wanted", () => {
  const size = { min: 1, max: 5, warm: 0 };

  it("is what the queue fills, never fewer than the least, never more than the most", () => {
    assert.equal(desiredWorkers({ queued: 0, running: 0 }, 4, size), 1);
    assert.equal(desiredWorkers({ queued: 3, running: 2 }, 4, size), 2);
    assert.equal(desiredWorkers({ queued: 1_000, running: 0 }, 4, size), 5);
  });

  it("leaves warm slots free beyond what runs", () => {
    assert.equal(desiredWorkers({ queued: 0, running: 4 }, 4, { ...size, warm: 1 }), 2);
    assert.equal(desiredWorkers({ queued: 0, running: 0 }, 4, { min: 0, max: 5, warm: 1 }), 1);
    assert.equal(desiredWorkers({ queued: 0, running: 0 }, 4, { min: 0, max: 5, warm: 0 }), 0);
  });

  it("holds the least where it is more than the most", () => {
    assert.equal(desiredWorkers({ queued: 9, running: 0 }, 1, { min: 3, max: 2, warm: 0 }), 3);
  });
});
