/**
 * A process with a session's memory as a worker has it (USE-Lite, FAISS, embeddings on disk). Argument: the folder of the cache. Takes a session of notes
 * in, step by step when told `slowly`, and writes one JSON line a milestone.
 */
import { systemClock, body } from "@guildhall/core";
import { memoryEvents } from "@guildhall/core/testing";
import { cachedEmbedder, openSessionMemory, openVectorIndex, openVectorStore, useLiteEmbedder } from "@guildhall/knowledge";

const [directory = "", pace = ""] = process.argv.slice(2);
const notes = [
  "The integration tests need the staging database on port 6543.",
  "Releases are cut on Thursdays after the nightly build is green.",
  "The parser drops comments that follow a heredoc; there is a failing test for it.",
  "Uploads are retried with exponential backoff, five times at most.",
  "The licence header is added by a hook and must not be written by hand.",
];
const inner = useLiteEmbedder();
const embedder = cachedEmbedder(inner, { store: await openVectorStore(directory, inner.model) });
const vectors = await openVectorIndex(inner.model);
const memory = openSessionMemory({ clock: systemClock(), embedder, vectors });
const log = memoryEvents(...notes.map((text) => body.messageReceived({ text })));
for (const [at, event] of log.entries()) {
  memory.observe([event]);
  await memory.settled();
  say({ remembered: at + 1 });
  // Long enough to be killed in.
  if (pace === "slowly" && at === 2) await new Promise((resolve) => setTimeout(resolve, 60_000));
}
const found = await memory.recall({ query: "which port does the database use in tests", tokens: 200, limit: 3 });
say({ kind: vectors.kind, first: found.items[0]?.text, degraded: found.degraded, counts: embedder.counts() });
await memory.close();
await embedder.close();

function say(what: object): void {
  process.stdout.write(`${JSON.stringify(what)}\n`);
}
