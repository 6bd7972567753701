import assert from "node:assert/strict";
import { Duplex } from "node:stream";
import { describe, it } from "node:test";

import { InitConnection } from "./connection.ts";

describe("a connection to an init that breaks", () => {
  const broken = async (explain: (() => string | undefined) | undefined, error?: Error): Promise<unknown[]> => {
    const stream = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
    const connection = new InitConnection(stream);
    connection.explainLoss = explain;
    const heard = Promise.withResolvers<string>();
    connection.listen(7, { frame: () => undefined, gone: heard.resolve });
    stream.destroy(error);
    return [await heard.promise, await connection.gone];
  };

  it("gives everybody the reason that its owner knows, whether it was lost or closed", async () => {
    assert.deepEqual(await broken(() => "lease", new Error("EPIPE")), ["lease", "lease"]);
    assert.deepEqual(await broken(() => "lease"), ["lease", "lease"]);
  });

  it("says how it ended where nothing more is known", async () => {
    assert.deepEqual(await broken(() => undefined, new Error("EPIPE")), ["connection lost", "connection lost"]);
    assert.deepEqual(await broken(undefined), ["connection closed", "connection closed"]);
  });
});
