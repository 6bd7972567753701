import { after, before, describe } from "node:test";

import { operationStoreContract } from "@guildhall/core/testing";

import { temporaryStorage, type TemporaryStorage } from "./testing/temporary-storage.ts";

describe("PostgreSQL's operations", () => {
  let temporary: TemporaryStorage;
  before(async () => (temporary = await temporaryStorage()));
  after(() => temporary.close());

  operationStoreContract("PostgreSQL", () => Promise.resolve(temporary.storage.knowledge));
});
