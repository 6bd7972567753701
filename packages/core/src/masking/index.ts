/** Masking of secrets in text and in streams. */
export { createMasker, MASK, SHORTEST_SECRET } from "./masker.ts";
