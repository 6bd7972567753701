import { timestampDate } from "@bufbuild/protobuf/wkt";

import type { Context } from "../client/context.ts";
import { exitCode } from "../exit.ts";
import { createStyle } from "../output/style.ts";
import { withConnection } from "./session.ts";

interface JsonOption {
  json?: boolean;
}

/** `guild knowledge stats`. */
export function stats(context: Context, options: JsonOption): Promise<number> {
  return withConnection(context, async ({ knowledge }) => {
    const told = await knowledge.getKnowledgeStats({});
    const { vectorStore, embeddings, replicas } = told;
    const counts = {
      items: Number(told.items),
      versions: Number(told.versions),
      doubtful: Number(told.doubtful),
      cold: Number(told.cold),
      conflicts: Number(told.conflicts),
      embedding_lag: Number(told.embeddingLag),
    };
    const cache = {
      model: embeddings?.model ?? "",
      dimension: embeddings?.dimension ?? 0,
      memory_hits: Number(embeddings?.memoryHits ?? 0),
      disk_hits: Number(embeddings?.diskHits ?? 0),
      misses: Number(embeddings?.misses ?? 0),
      spec: embeddings?.spec ?? "",
      answering: embeddings?.answering ?? "",
      tokens: Number(embeddings?.tokens ?? 0),
      cost_usd: embeddings?.costKnown === false ? null : (embeddings?.costUsd ?? 0),
    };
    const places = replicas.map(({ replica, operations, behind, lastExchange }) => ({
      replica,
      operations: Number(operations),
      behind: Number(behind),
      last_exchange: lastExchange === undefined ? null : timestampDate(lastExchange).toISOString(),
    }));
    if (options.json === true) {
      context.stdout.write(
        `${JSON.stringify({ id: "knowledge", type: "stats", ...counts, vector_store: vectorStore, embeddings: cache, replicas: places })}\n`,
      );
      return exitCode.done;
    }
    const words = Object.entries(counts).map(([name, value]) => `${value} ${name.replace("_", " ")}`);
    context.stdout.write(`${words.join(", ")}\nvectors: ${vectorStore}\n`);
    if (cache.model !== "")
      context.stdout.write(
        `embeddings: ${cache.model} (${cache.dimension}), found ${cache.memory_hits} in memory and ${cache.disk_hits} on disk, made ${cache.misses}\n`,
      );
    if (cache.model === "") context.stdout.write(`embeddings: none, search is by words alone (${cache.spec})\n`);
    if (cache.answering !== "") {
      const done = counts.items - Math.min(counts.items, counts.embedding_lag);
      context.stdout.write(`embedding anew: ${done} of ${counts.items} items; until then the vectors of ${cache.answering} answer\n`);
    }
    if (cache.tokens > 0) {
      const cost = cache.cost_usd === null ? "at an unknown price" : `$${cache.cost_usd.toFixed(6)}`;
      context.stdout.write(`embedded since the start: ${cache.tokens} tokens, ${cost}\n`);
    }
    for (const { replica, operations, behind, last_exchange: last } of places) {
      context.stdout.write(`replica ${replica}: ${operations} operations${last === null ? "" : `, exchanged ${last}, ${behind} behind`}\n`);
    }
    return exitCode.done;
  });
}

/** `guild knowledge sync`. */
export function sync(context: Context, remote: string | undefined, options: JsonOption): Promise<number> {
  return withConnection(context, async ({ knowledge }) => {
    const done = await knowledge.syncKnowledge({ remote: remote ?? "" });
    const counts = { sent: Number(done.sent), received: Number(done.received), conflicts: Number(done.conflicts) };
    const text =
      options.json === true
        ? JSON.stringify({ id: remote ?? "all", type: "sync", ...counts })
        : `sent ${counts.sent}, received ${counts.received}; ${counts.conflicts} conflicts are open`;
    context.stdout.write(`${text}\n`);
    return exitCode.done;
  });
}

/** `guild knowledge tidy`. */
export function tidy(context: Context, options: JsonOption): Promise<number> {
  return withConnection(context, async ({ knowledge }) => {
    const told = await knowledge.tidyKnowledge({});
    const counts = { joined: Number(told.joined), originals: Number(told.originals), set_apart: Number(told.setApart) };
    context.stdout.write(
      options.json === true
        ? `${JSON.stringify({ id: "knowledge", type: "tidy", ...counts })}\n`
        : `${counts.originals} items of several sessions joined into ${counts.joined}; ${counts.set_apart} set apart by size and age\n`,
    );
    return exitCode.done;
  });
}

/** `guild knowledge rebuild`. */
export function rebuild(context: Context, options: JsonOption): Promise<number> {
  return withConnection(context, async ({ knowledge }) => {
    let last = { done: 0, total: 0 };
    for await (const { done, total } of knowledge.rebuildKnowledge({})) last = { done: Number(done), total: Number(total) };
    context.stdout.write(
      options.json === true
        ? `${JSON.stringify({ id: "knowledge", type: "rebuild", ...last })}\n`
        : `${last.done} items embedded and indexed again\n`,
    );
    return exitCode.done;
  });
}

/** `guild knowledge privacy-report`. */
export function privacyReport(context: Context, options: JsonOption & { session?: string }): Promise<number> {
  return withConnection(context, async ({ knowledge }) => {
    const report = await knowledge.getPrivacyReport({ sessionId: options.session ?? "" });
    const counts = {
      examined: Number(report.examined),
      passed: Number(report.passed),
      redacted: Number(report.redacted),
      held_back: Number(report.heldBack),
    };
    const entries = report.entries.map(({ time, sessionId, reason, count }) => ({
      time: time === undefined ? null : timestampDate(time).toISOString(),
      session: sessionId,
      reason,
      count,
    }));
    if (options.json === true) {
      context.stdout.write(`${JSON.stringify({ id: options.session ?? "all", type: "privacy-report", ...counts, entries })}\n`);
      return exitCode.done;
    }
    const style = createStyle(context.color);
    context.stdout.write(
      `${counts.examined} examined: ${counts.passed} passed as they were, ${counts.redacted} redacted, ${counts.held_back} held back\n`,
    );
    for (const { time, session, reason, count } of entries)
      context.stdout.write(`${style.dim(time ?? "")}  ${reason} × ${count}${session === "" ? "" : `  ${session}`}\n`);
    return exitCode.done;
  });
}
