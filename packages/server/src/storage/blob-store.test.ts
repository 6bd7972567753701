import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { blobStoreContract } from "@guildhall/core/testing";

import { FileBlobStore } from "./blob-store.ts";

blobStoreContract("files", async () => {
  const directory = await mkdtemp(join(tmpdir(), "guildhall-blobs-"));
  const store = new FileBlobStore({ directory: join(directory, "blobs") });
  return { store, close: () => rm(directory, { recursive: true, force: true }) };
});
