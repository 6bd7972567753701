import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { createClient, createRouterTransport, type Interceptor } from "@connectrpc/connect";
import { LedgerService } from "@guildhall/protocol/internal";

import { namedOperations, onceEach, Operations } from "./operations.ts";

/** A ledger that counts, behind a way that asks everything twice and gives the second answer. */
function doubled(before: Interceptor[]) {
  let reserved = 0;
  const twice: Interceptor = (next) => async (request) => {
    const [first, second] = await Promise.all([next(request), next(request)]);
    void first;
    return second;
  };
  const transport = createRouterTransport(
    (router) => router.service(LedgerService, { reserve: () => ({ id: String(++reserved) }), settle: () => ({}) }),
    {
      router: { interceptors: [onceEach(new Operations(1))] },
      transport: { interceptors: [...before, twice] },
    },
  );
  return { client: createClient(LedgerService, transport), made: () => reserved };
}

describe("an operation with a name", () => {
  it("is done once, however often its request arrives", async () => {
    const { client, made } = doubled([namedOperations]);
    assert.deepEqual([(await client.reserve({})).id, (await client.reserve({})).id], ["1", "2"]);
    assert.equal(made(), 2);
  });

  it("has one: who gives none, as an older version does, is served as he asks", async () => {
    const { client, made } = doubled([]);
    await client.reserve({});
    assert.equal(made(), 2);
  });
});
