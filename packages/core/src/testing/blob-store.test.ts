import { blobStoreContract } from "./blob-store.contract.ts";
import { MemoryBlobStore } from "./blob-store.ts";

blobStoreContract("memory", async () => ({ store: new MemoryBlobStore(), close: async () => {} }));
