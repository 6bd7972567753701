/** What the session and the workshop know: lexical and dense retrieval, memory, and its synchronisation. */
export * from "./embed/cached-embedder.ts";
export * from "./embed/http-embedder.ts";
export * from "./embed/use-lite.ts";
export * from "./embed/vector-store.ts";
export * from "./lexical/bm25.ts";
export * from "./lexical/tokenize.ts";
export * from "./vectors/exact-index.ts";
export * from "./vectors/faiss-index.ts";
