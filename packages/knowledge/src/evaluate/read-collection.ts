import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { createGunzip } from "node:zlib";

import { GuildError } from "@guildhall/core";
import { z } from "zod";

import type { RetrievalDocument } from "../retrieval/document.ts";
import type { EvalQuery, Judgements } from "./evaluate.ts";

/** Most bytes of one line: what is longer is no document. */
const LONGEST_LINE = 100 * 1024 * 1024;

const id = z.union([z.string(), z.number().transform(String)]);
const documentSchema = z.object({
  id,
  text: z.string(),
  title: z.string().optional(),
  thread: id.optional(),
  order: z.number().optional(),
  // Milliseconds, or a date as people and programs write it.
  at: z
    .union([
      z.number(),
      z
        .string()
        .transform((value) => Date.parse(value))
        .pipe(z.number()),
    ])
    .optional(),
});
const querySchema = z.object({ id, text: z.string() });

/** Documents as JSON lines `{"id","text","title"?,"thread"?,"order"?,"at"?}`, gzipped or not. Throws `invalid_argument` with file and line. */
export async function* readDocuments(path: string): AsyncGenerator<RetrievalDocument> {
  for await (const { value } of jsonLines(path, documentSchema)) yield value satisfies { id: string; text: string } as RetrievalDocument;
}

/** Queries as JSON lines `{"id","text"}`. */
export async function readQueries(path: string): Promise<EvalQuery[]> {
  const queries: EvalQuery[] = [];
  for await (const { value } of jsonLines(path, querySchema)) queries.push(value);
  return queries;
}

/** Judgements as lines of query, document and grade with tabs between; a first line without a number for its grade is a heading. */
export async function readJudgements(path: string): Promise<Judgements> {
  const judgements = new Map<string, Map<string, number>>();
  for await (const { line, number } of lines(path)) {
    const [query = "", document = "", written = "", ...more] = line.split("\t").map((part) => part.trim());
    const grade = Number(written);
    if (number === 1 && !Number.isFinite(grade)) continue;
    if (query === "" || document === "" || written === "" || more.length > 0 || !Number.isFinite(grade)) {
      throw wrong(path, number, "a judgement is query, document and grade with tabs between");
    }
    const grades = judgements.get(query) ?? new Map<string, number>();
    grades.set(document, grade);
    judgements.set(query, grades);
  }
  return judgements;
}

async function* jsonLines<T>(path: string, schema: z.ZodType<T>): AsyncGenerator<{ value: T }> {
  for await (const { line, number } of lines(path)) {
    let parsed: unknown;
    try {
      parsed = JSON.parse(line);
    } catch (error) {
      throw wrong(path, number, "this line is no JSON", error);
    }
    const result = schema.safeParse(parsed);
    if (!result.success) {
      const [issue] = result.error.issues;
      throw wrong(path, number, `${issue?.path.join(".") ?? ""}: ${issue?.message ?? "unexpected"}`);
    }
    yield { value: result.data };
  }
}

/** Lines that are not blank, with their numbers from 1. Gzip is told by its first bytes, not by the name. */
async function* lines(path: string): AsyncGenerator<{ line: string; number: number }> {
  const gzipped = await isGzip(path);
  const file = createReadStream(path);
  const text: Readable = gzipped ? file.pipe(createGunzip()) : file;
  // `pipe` does not hand on a failing source.
  if (gzipped) file.on("error", (error) => text.destroy(error));
  let number = 0;
  try {
    for await (const line of createInterface({ input: text, crlfDelay: Infinity })) {
      number += 1;
      if (line.length > LONGEST_LINE) throw wrong(path, number, "this line is longer than 100 MB");
      if (line.trim() !== "") yield { line: number === 1 ? line.replace(/^\uFEFF/, "") : line, number };
    }
    if (text.errored !== null && text.errored !== undefined) throw text.errored;
  } catch (error) {
    throw GuildError.is(error) ? error : new GuildError("corrupt", "the file cannot be read to its end", { subject: path, cause: error });
  } finally {
    file.destroy();
  }
}

async function isGzip(path: string): Promise<boolean> {
  try {
    const handle = await open(path);
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(2), 0, 2, 0);
      return bytesRead === 2 && buffer.readUInt16BE() === 0x1f8b;
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw new GuildError("not_found", "the file cannot be opened", { subject: path, remedy: "check its path", cause: error });
  }
}

function wrong(path: string, number: number, message: string, cause?: unknown): GuildError {
  return new GuildError("invalid_argument", message, { subject: `${path}:${number}`, cause });
}
