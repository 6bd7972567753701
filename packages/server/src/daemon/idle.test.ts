import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { watchIdle } from "./idle.ts";

describe("watchIdle", () => {
  it("fires once nothing has been under way for the whole time", (test) => {
    test.mock.timers.enable({ apis: ["setTimeout"] });
    let fired = 0;
    const idle = watchIdle(1000, () => fired++);
    test.mock.timers.tick(900);
    const [first, second] = [idle.busy(), idle.busy()];
    test.mock.timers.tick(5000);
    first();
    first();
    test.mock.timers.tick(5000);
    assert.equal(fired, 0);
    second();
    test.mock.timers.tick(999);
    assert.equal(fired, 0);
    test.mock.timers.tick(1);
    assert.equal(fired, 1);
  });

  it("never fires with 0, nor after stop", (test) => {
    test.mock.timers.enable({ apis: ["setTimeout"] });
    const fail = () => assert.fail("fired");
    watchIdle(0, fail);
    const idle = watchIdle(1000, fail);
    idle.stop();
    idle.busy()();
    test.mock.timers.tick(10_000);
  });
});
