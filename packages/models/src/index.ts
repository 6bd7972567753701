/** Models behind the Model port: providers over HTTP, scripts, recordings and replays, modules of one's own. For users: `createModelProvider`. */
export type { CustomModelContext, CustomModelFactory } from "./custom-module.ts";
export { type DescribedVendor, describeVendors } from "./describe-vendors.ts";
export { createEmbedderProvider, type EmbedderProvider, type OpenEmbedder } from "./embed/embedders.ts";
export type { EmbeddingSpend, MeteredEmbedder } from "./embed/metered-embedder.ts";
export { LOCAL_SERVERS, type LocalServer } from "./local-servers.ts";
export { createModelProvider, type ModelProviderOptions, type ModelRouting } from "./provider.ts";
export type { RetryPolicy } from "./retry.ts";
export type { TransportLimits } from "./transport.ts";
