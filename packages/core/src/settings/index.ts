/** Settings: the schema and its reader. The places of files are `@guildhall/core/paths`, which loads nothing heavy. */
export * from "./read.ts";
export * from "./schema.ts";
