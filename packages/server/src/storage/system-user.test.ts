import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { isMapped } from "./system-user.ts";

describe("isMapped", () => {
  it("is true where the namespace has all users", () => {
    assert.equal(isMapped(105, "         0          0 4294967295\n"), true);
  });

  it("is false where it has root alone", () => {
    assert.equal(isMapped(105, "         0       1000          1\n"), false);
    assert.equal(isMapped(0, "         0       1000          1\n"), true);
  });

  it("goes by each range", () => {
    const map = "         0       1000          1\n         1     100000      65536\n";
    assert.deepEqual(
      [65536, 65537].map((id) => isMapped(id, map)),
      [true, false],
    );
  });
});
