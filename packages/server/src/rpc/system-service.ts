import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import type { EffectiveSetting } from "@guildhall/core/settings";
import { type Finding, PROTOCOL_VERSION, type SystemService } from "@guildhall/protocol";

/** What the system service tells and does; all of it is the daemon's. */
export interface SystemDeps {
  version: string;
  schema: number;
  addresses: readonly string[];
  runningSessions(): number;
  effectiveSettings(): EffectiveSetting[];
  diagnose(): Promise<Finding[]>;
  stop(how: { now: boolean }): void;
  exportDatabase(): AsyncIterable<Uint8Array>;
  importDatabase(chunks: AsyncIterable<Uint8Array>): Promise<{ sessions: number; events: number; blobs: number }>;
}

/** Versions, diagnosis, settings, the end of the daemon, and the portable copy. */
export function systemService(deps: SystemDeps): ServiceImpl<typeof SystemService> {
  const started = timestampFromDate(new Date());
  return {
    getInfo: () => ({
      version: deps.version,
      protocolMin: 1,
      protocolMax: PROTOCOL_VERSION,
      schema: deps.schema,
      pid: process.pid,
      started,
      services: ["session", "tool", "system", "model"],
      addresses: [...deps.addresses],
      runningSessions: deps.runningSessions(),
    }),
    diagnose: async () => ({ findings: await deps.diagnose() }),
    getSettings: () => ({ settings: deps.effectiveSettings() }),
    shutdown(request) {
      // After the answer has gone out.
      setImmediate(() => deps.stop({ now: request.now }));
      return {};
    },
    async *exportDatabase() {
      for await (const chunk of deps.exportDatabase()) yield { chunk };
    },
    async importDatabase(requests) {
      const counts = await deps.importDatabase(chunksOf(requests));
      return { sessions: counts.sessions, events: BigInt(counts.events), blobs: BigInt(counts.blobs) };
    },
  };
}

async function* chunksOf(requests: AsyncIterable<{ chunk: Uint8Array }>): AsyncIterable<Uint8Array> {
  for await (const { chunk } of requests) yield chunk;
}
